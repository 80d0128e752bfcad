"""Methods that remove words or heads and run the model again."""
