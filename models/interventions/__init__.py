"""Runs of the model in which some states are replaced, and what replaces them."""
