"""The page of results: figures measured on a GPU, compared with published figures."""
