"""The one training loop of all encoder models."""
