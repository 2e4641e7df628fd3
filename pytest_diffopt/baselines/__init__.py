"""Accepted figures on disk: read strictly before a record is judged, written only when asked; without torch."""
