"""Tf-idf features and the sparse linear scorer behind them, for training and for bundles alike."""

from __future__ import annotations
