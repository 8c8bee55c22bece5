"""How a bundle serves tfidf_hsgd, and watches it."""

from __future__ import annotations
