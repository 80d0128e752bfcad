"""Intervals, tests and ranks, as functions of arrays (docs/adr/0005-intervals.md)."""
