"""Searching each head's settings on validation, by trials that leave no trace of the test split."""
