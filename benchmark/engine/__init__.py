"""Runs plans: whatever can change a stored number is in this folder."""
