"""Metrics that read patterns: the paths from each word to the position that q reads."""
