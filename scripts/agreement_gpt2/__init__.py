"""How agreement-gpt2, the embedded decoder, is trained and measured. Part of the repository, not of the package."""
