"""Development tools: shipped data, documentation, releases and workflows."""
