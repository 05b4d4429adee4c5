"""Ledger → tables and figures. Imports no torch."""
