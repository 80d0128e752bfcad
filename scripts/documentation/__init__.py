"""Builds the pages of the documentation that follow from the code: `make docs` runs it through `mkdocs.yml`."""
