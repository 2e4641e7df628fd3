"""Nothing green by accident: what a session had to prove, and what it did not."""
