"""Deprecated: the old name of `ktt_packing.client`. It goes in the next release."""
