"""Tf-idf features and the sparse linear scorer that uses them, for training and bundles."""

from __future__ import annotations
