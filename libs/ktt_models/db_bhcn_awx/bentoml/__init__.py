"""How a bundle serves db_bhcn_awx, and watches it."""

from __future__ import annotations
