"""Paired comparison of methods and of cells, and the overall order of a board."""
