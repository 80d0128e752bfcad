"""The parts of a transformer layer, made of a model's own submodules, and their derivatives."""
