"""How far intervals and tests can be trusted, by simulation with the functions that print the tables."""
