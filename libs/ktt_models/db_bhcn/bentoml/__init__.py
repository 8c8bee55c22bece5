"""How a bundle serves db_bhcn, and watches it."""

from __future__ import annotations
