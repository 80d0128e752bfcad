"""The static site of a board: pages that open from disk, every number with its download."""
