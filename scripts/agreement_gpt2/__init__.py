"""How agreement-gpt2 and agreement-gpt2-plain are trained and measured. Part of the repository, not of the package."""
