"""How agreement-bert and agreement-bert-plain are trained and measured. Part of the repository, not of the package."""
