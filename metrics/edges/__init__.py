"""Metrics that read edges: weights of attention between positions, layer by layer."""
