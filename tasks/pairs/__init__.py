"""Minimal pairs of published sets, and prompts whose next word is known."""
