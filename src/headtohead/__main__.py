"""`python -m headtohead` is `headtohead`."""

from headtohead.cli import main

main()
