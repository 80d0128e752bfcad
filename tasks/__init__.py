"""What to explain: instances, the model head they need and the quantity of interest. Plain data: no torch, no tokenizer."""
