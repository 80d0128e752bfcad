"""Fine-tunes encoders for tasks with classes or spans."""
