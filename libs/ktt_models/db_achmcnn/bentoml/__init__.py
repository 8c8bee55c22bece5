"""How a bundle serves db_achmcnn, and watches it."""

from __future__ import annotations
