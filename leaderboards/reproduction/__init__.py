"""Numbers of a run beside those of a paper, with a verdict on each."""
