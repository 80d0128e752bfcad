"""What a store of results shows: tables and figures. Reads stored files only; no torch."""
