"""The repository of a board that others submit to: its instructions, and what its continuous integration runs."""
