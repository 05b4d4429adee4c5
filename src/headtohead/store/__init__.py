"""What lies on disk: ledger, records, looks, image tables."""
