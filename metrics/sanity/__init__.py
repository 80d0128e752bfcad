"""Checks that an explanation depends on what it explains: on the model's weights, and on more than chance."""
