"""Models, and the weights of models and methods that are trained here, loaded when they are first needed."""
