"""Compare two revisions, base and head: two worker processes run the same test, and its call is timed in both."""
