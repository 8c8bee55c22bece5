"""How a bundle serves db_ahmcnf, and watches it."""

from __future__ import annotations
