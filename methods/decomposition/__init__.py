"""Methods that divide each vector of a transformer into additive parts by where they come from."""
