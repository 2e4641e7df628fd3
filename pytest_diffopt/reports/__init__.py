"""Reports: the ledger as text, JSON, Markdown and HTML."""
