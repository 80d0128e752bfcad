"""Figures of a store: patterns, their superposition, entropies, curves, masks. `plot.plot` draws all of them."""
