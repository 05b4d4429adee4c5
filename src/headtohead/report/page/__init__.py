"""`report.html`: one self-contained page, from the ledger and its evidence. Imports no torch."""
