"""Methods that add up gradients of q at many word vectors: with noise, at random points, and along paths to the input."""
