"""The shared core: taxonomy, datasets, decoding, metrics, checkpoints and the Model ABC."""
