"""What lies on disk: ledger, records, looks, picture tables."""
