"""Images in: sources, decoding, the prepared set, splits, drawn data."""
