"""The page of results: what a card gave, beside what others published."""
