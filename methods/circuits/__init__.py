"""Methods that find circuits: edges from what writes to the residual stream to what reads it."""
