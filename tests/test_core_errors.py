"""What messages quote of what they received."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import BRIEF, brief, likeliest, reason_of


def test_a_long_path_keeps_its_name() -> None:
    """Else nobody learns which file of a deep folder is meant."""
    path = "/home/" + "a/folder/within/" * 10 + "photographs/tulip 17.jpg"
    said = brief(path)
    assert len(said) == BRIEF
    assert said.startswith("/home/a/folder/")
    assert said.endswith("photographs/tulip 17.jpg")


@given(st.text(), st.integers(3, 100))
def test_no_text_is_quoted_at_length_or_over_lines(text: str, limit: int) -> None:
    """Else a message fills the screen, or commands the terminal."""
    said = brief("".join(c if c.isprintable() else " " for c in text), limit)
    assert len(said) <= limit
    assert said.isprintable()


def test_a_value_whose_repr_fails_is_named_by_its_type() -> None:
    """Else the error hides behind another."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert brief(Odd()) == "<Odd>"


@pytest.mark.parametrize(("name", "meant"), [("gapp", "gap"), ("GeM", "gem"), ("xyzzy", "")])
def test_a_misspelled_name_is_answered_by_the_nearest(name: str, meant: str) -> None:
    assert likeliest(name, ["fc", "gap", "gem"]) == (f" Did you mean {meant!r}?" if meant else "")


def test_an_error_that_says_nothing_is_told_by_its_type() -> None:
    """Else "gives no vision model: ." leaves nothing to look for."""
    assert reason_of(ValueError("one\n  two three"), 7) == "one two"
    assert reason_of(AssertionError(), 7) == "AssertionError"


def test_a_reason_stands_in_a_sentence_without_its_own_full_stop() -> None:
    """Else "could not be loaded (not in the local cache. )." looks like a message cut short."""
    assert reason_of(ValueError("not in the local cache. And more"), 24) == "not in the local cache"
    assert reason_of(ValueError("..."), 24) == "ValueError"
