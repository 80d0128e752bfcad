"""Cells on disk or in a bucket: their keys, records, explanations and scores; nothing here imports torch."""
