"""Metrics that read nodes: scores of hidden states, and of heads and skips."""
