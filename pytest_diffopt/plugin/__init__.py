"""pytest's side: hooks, options, markers, fixtures, collection and the reports at the end of a session."""
