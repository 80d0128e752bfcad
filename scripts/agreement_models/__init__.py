"""What the embedded models have in common: their sentences, tokenizer, training and card. Not part of the package."""
