"""How a bundle serves tfidf_lsgd, and watches it."""

from __future__ import annotations
