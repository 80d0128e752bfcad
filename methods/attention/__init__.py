"""Methods that read the model's attention weights."""
