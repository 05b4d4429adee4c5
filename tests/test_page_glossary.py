"""Technical terms of the page: each is explained, once in a section, and never within a name."""

import re

from headtohead.report.page.glossary import TERMS, explain, term_in


def test_a_term_is_explained_once_in_each_section() -> None:
    """Explained nowhere it is jargon; explained at every place it is noise."""
    page = "<section><p>ECE and ECE</p></section><section><p>Brier, ECE</p></section>"
    assert re.findall(r'popovertarget="term-([a-z-]+)"', explain(page)) == ["ece", "brier", "ece"]


def test_names_links_and_markup_stay_as_they_are() -> None:
    """A class that is called "ECE" is no calibration error, and an attribute is no text."""
    page = (
        '<p class="small name">ECE</p><a href="#x">ECE</a><img alt="ECE"><svg>ECE</svg>'
        "<code>ECE</code><p>a head called my_ECE-2</p>"
    )
    assert explain(page) == page


def test_a_line_breaks_neither_in_an_option_nor_before_a_bracket() -> None:
    """On a phone "--out" would read as two dashes and a word, and a bracket begin a line."""
    text = "a line (Student's t) over seeds: --seeds 12 in a new --out, a - b"
    found = explain(f"<p>{text}</p>")
    whole = re.findall(r'<span class="whole">(.*?)</span>', found)
    assert [re.sub("<[^>]*>", "", one) for one in whole] == [
        "(Student's t)",
        "--seeds 12",
        "--out",
    ]
    assert re.sub("<[^>]*>", "", found) == text


def test_every_term_finds_its_own_title() -> None:
    """A term whose pattern another one takes first would show the wrong words."""
    written = {
        "holm": "Holm&#39;s correction",
        "ece": "ECE, %",
        "brier": "Brier",
        "log-loss": "log loss",
        "sign-flip": "sign-flip test",
        "non-inferiority": "non-inferiority test",
        "grad-cam": "Grad-CAM",
        "kappa": "Cohen's kappa",
        "mcnemar": "McNemar's p",
    }
    found = {text: term_in(text) for text in written.values()}
    assert {key: getattr(found[text], "key", None) for key, text in written.items()} == {
        key: key for key in written
    }
    assert len({term.key for term in TERMS}) == len(TERMS)
    assert term_in("a plain sentence") is None


def test_explanations_are_short() -> None:
    """What does not fit into a glance is not read."""
    assert [term.key for term in TERMS if not 5 <= len(term.about.split()) <= 45] == []
