"""Metrics that read token scores."""
