"""Models that flowgauge builds: with weights set by hand, or trained when first used."""
