"""Metrics that read scores of attention heads."""
