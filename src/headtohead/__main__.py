"""The command `headtohead`, and `python -m headtohead`."""

import sys


def main() -> None:
    """Run what was typed. Ctrl-C ends it in one line while it is being imported, too."""
    try:
        from headtohead.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("headtohead: interrupted.\n")
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
