"""Charts: numbers → drawings, the same for the page and for files. Knows no study."""
