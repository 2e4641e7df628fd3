"""Judge a record against a rule or a baseline; pure, and without torch."""
