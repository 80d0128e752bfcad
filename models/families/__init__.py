"""Model families: for each, which submodules of the Hugging Face model are word embedding, embedding, layers and readout."""
