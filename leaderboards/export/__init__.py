"""Tables of a board and results of a store in the formats of other programs, and the JSON Schemas of all stored files."""
