"""Instances to batches: tokenisation, matching of class names, encoding."""
