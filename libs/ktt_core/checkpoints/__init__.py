"""Checkpoint files: their format, what they say of their run, their names and their staging."""
