"""The scripts that ship beside exported models: each runs without headtohead."""
