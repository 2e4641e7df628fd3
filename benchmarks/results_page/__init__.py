"""The page of results: what a GPU gave, beside what others published."""
