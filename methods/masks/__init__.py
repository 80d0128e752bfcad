"""Methods that optimise masks or noise on words and hidden states."""
