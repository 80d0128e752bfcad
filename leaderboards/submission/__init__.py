"""Bundles of cells, their verification, and boards with their ledger."""
