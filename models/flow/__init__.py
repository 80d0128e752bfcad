"""The transformer as a graph: the loop over layers, path samples, closed-form tangents, patterns and subgraphs."""
