"""Tables of a store for a terminal: the ranking, means over seeds, and the table of the published paper."""
