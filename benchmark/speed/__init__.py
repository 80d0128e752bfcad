"""Times methods side by side, for `flowgauge speed`."""
