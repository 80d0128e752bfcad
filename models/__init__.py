"""A model as a flow graph: the loop over layers, path samples, closed-form tangents, patterns and subgraphs."""
