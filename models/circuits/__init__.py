"""The graph of writers and readers of a transformer: its edges, their gradients, and runs in which edges are exchanged."""
