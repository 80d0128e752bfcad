"""Models as words, hidden states, sites that can be read and edited, and a readout."""
