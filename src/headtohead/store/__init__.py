"""What lies on disk: ledger, records, picture tables."""
