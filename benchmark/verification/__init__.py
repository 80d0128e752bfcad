"""Recomputes the scores and reruns the methods of a submission."""
