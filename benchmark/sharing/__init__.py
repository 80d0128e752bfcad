"""How processes on one store, on one machine or on many, share the work of a run."""
