"""Runs the model with only the nodes, heads or masked states that an explanation keeps."""
