"""Pure functions: numbers in, numbers out. Imports no torch."""
