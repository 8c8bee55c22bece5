"""What the models on a transformer encoder share."""
