"""Methods that optimise masks on words and hidden states."""
