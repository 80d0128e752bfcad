"""Stored records, grouped for comparison, and their scores as tables: read once, used by every other room."""
