"""What is known of methods, metrics, tasks and models in words: for `flowgauge info` and `list`, and for pages; without torch."""
