"""Nearest centroid, served: what runs in a bundle, on CPython 3.11."""
