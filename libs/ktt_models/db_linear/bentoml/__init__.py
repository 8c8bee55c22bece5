"""How a bundle serves db_linear, and watches it."""

from __future__ import annotations
