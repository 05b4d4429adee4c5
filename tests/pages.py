"""A report's page, read."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from headtohead.report.page.content import gather
from headtohead.report.page.html import arrange
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData


def report_page(ledger: Ledger, pictures: int = 12) -> str:
    """The page of a ledger, with so many images in each grid."""
    data = StudyData(ledger)
    return arrange(gather(data, summarize(data), pictures), pictures)


VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Every element with its attributes and the text within it; complains of unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, *tags: str) -> Iterator[tuple[str, dict[str, str]]]:
        return ((tag, attributes) for tag, attributes in self.elements if tag in tags)

    @property
    def words(self) -> str:
        shown = (text for tag, text in self.texts if tag not in ("script", "style"))
        return " ".join(" ".join(shown).split())


def part(page: str, start: str, end: str) -> str:
    """The words of the page's only piece between these two."""
    (found,) = re.findall(f"{re.escape(start)}(.*?){re.escape(end)}", page, re.S)
    return Page(found).words


def said(page: str) -> str:
    """The answer."""
    return part(page, '<p class="answer">', "</p>")


def section(page: str, name: str) -> str:
    """The words of a section."""
    return part(page, f'<section aria-labelledby="{name}">', "</section>")


def fact(page: str, name: str) -> str:
    """What stands in a list of facts under this name."""
    return part(page, f"<dt>{name}</dt><dd>", "</dd>")
