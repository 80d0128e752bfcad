"""Figures of a store: patterns, their superposition, entropies, curves. `plot.plot` draws them all; no torch, no pyplot."""
