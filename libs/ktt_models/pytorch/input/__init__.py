"""From a dataset's split to batches of token ids, or of a frozen encoder's features."""
