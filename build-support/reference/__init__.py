"""What writes the reference of the Python interface."""
