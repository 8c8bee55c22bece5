"""The README's first command: a real classifier of diagnoses, from nothing, in minutes."""
