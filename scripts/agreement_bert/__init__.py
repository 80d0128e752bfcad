"""How agreement-bert, the embedded model, is trained and measured. Part of the repository, not of the package."""
