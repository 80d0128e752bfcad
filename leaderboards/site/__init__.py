"""The static site of a board: pages that open from disk and offer every number as a download."""
