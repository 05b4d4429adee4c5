"""The heads in words, from Python as from the command line."""

import pytest
from click.testing import CliRunner

import headtohead
from headtohead.cli import main
from headtohead.core.errors import UsageError


def test_python_lists_heads_as_the_command_does() -> None:
    """Else a notebook must reach into the package's insides to see what can be compared."""
    for words, asked in (
        ([], {}),
        (["gap"], {"name": "gap"}),
        (["--image-size", "64", "--classes", "10"], {"image_size": 64, "classes": 10}),
    ):
        printed = CliRunner().invoke(main, ["heads", *words], catch_exceptions=False).stdout
        assert printed.rstrip("\n") == headtohead.heads(**asked)
    assert "663,301" in headtohead.heads()  # the defaults are the article's pictures


def test_a_head_that_is_not_known_is_told() -> None:
    with pytest.raises(UsageError, match="gpa"):
        headtohead.heads("gpa")


@pytest.mark.parametrize("name", headtohead.__all__)
def test_every_public_name_loads(name: str) -> None:
    """Else the documentation names what is not there."""
    assert getattr(headtohead, name) is not None
