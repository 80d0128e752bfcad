"""The plans and the published numbers of papers, as files, and what runs them."""
