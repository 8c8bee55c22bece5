"""What earlier programs have written, and what they answered on it."""
