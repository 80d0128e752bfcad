"""Built."""
