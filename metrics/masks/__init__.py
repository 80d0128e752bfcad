"""Metrics that read masks: the probability that each word or hidden state is kept."""
