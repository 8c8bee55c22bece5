"""The known advisories about what is pinned: their list, its check, and its table in the docs."""
