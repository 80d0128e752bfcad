"""What people look at: one explained text and the results of a run, in a terminal, a notebook, a page or a picture."""
