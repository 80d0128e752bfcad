"""Cells: a plan expanded, run, stored and resumed. `record`, `store`, `explanation_io`, `plan` and `key` need no torch."""
