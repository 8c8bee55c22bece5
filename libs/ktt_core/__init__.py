"""The shared core: taxonomy, datasets, preprocessors, decoding, metrics, checkpoints and the Model ABC."""
