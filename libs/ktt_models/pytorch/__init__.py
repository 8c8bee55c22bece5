"""Common base of models on a transformer encoder."""
