"""Imports explanations that were computed outside flowgauge."""
