"""Methods that replace states by noise and measure how much information the answer needs."""
