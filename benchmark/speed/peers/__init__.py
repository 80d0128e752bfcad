"""What others do, beside which `flowgauge speed` times what is done here."""
