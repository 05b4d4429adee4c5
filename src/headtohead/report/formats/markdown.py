"""`report.md`: the answer, the table and the verdicts, for wikis, issues and mails."""

import re
from collections.abc import Iterator, Sequence

from headtohead.core.text import minus
from headtohead.report.classes import CLASS_TITLES
from headtohead.report.page.content import Content
from headtohead.report.page.findings import bounds_text, picture_bounds
from headtohead.report.page.forest import difference_text
from headtohead.store.ledger import SplitName, StudyFile

# Anywhere, and at the start of a line.
_SPECIAL = re.compile(r"[\\`*_\[\]|<>~$&]|^[#+=-]")


def report_markdown(content: Content) -> bytes:
    """The report as GitHub-flavoured Markdown in UTF-8."""
    return ("\n".join(_lines(content)).strip() + "\n").encode()


def _lines(content: Content) -> Iterator[str]:
    summary = content.summary
    file = summary.file
    yield f"# Study {escape(file.study.name)}: which classification head?\n"
    yield f"**{escape(content.answer.sentence)}**\n"
    if content.answer.more:
        yield f"{escape(content.answer.more)}\n"
    yield from (f"- {escape(reason)}" for reason in content.answer.reasons)
    yield ""
    yield from (f"> {escape(note)}\n" for note in summary.notes)
    yield from _results(content)
    yield from _verdicts(content)
    yield from _by_class(content)
    yield from _image_counts(file)
    yield from (f"- {escape(line)}" for line in content.caveats)
    if content.backbone:
        yield f"\n## The backbone: {escape(file.study.backbone.name)}\n"
        yield from table(("topic", "what is known"), content.backbone)
    yield "\n## Reproduce\n"
    yield _fenced(content.command)
    yield f"Made by headtohead {file.headtohead}; digest `{file.digest[:16]}`."


def _results(content: Content) -> Iterator[str]:
    if not content.rows:
        return
    yield "## Results\n"
    yield (
        f"Mean ± standard deviation over seeds; test metrics at the best epoch. Largest class: "
        f"{escape(content.baseline.about)}.\n"
    )
    yield from table(("head", *content.columns, "runs"), content.results)


def _image_counts(file: StudyFile) -> Iterator[str]:
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    counts = [(n, *(f"{file.counts[s].get(n, 0):,}" for s in splits)) for n in file.classes]
    yield "## The images\n"
    yield from table(("class", "training", "validation", "test"), counts)


def _verdicts(content: Content) -> Iterator[str]:
    summary = content.summary
    if summary.comparisons:
        yield "## Verdicts\n"
        verdicts = [
            verdict
            for item in summary.comparisons
            for verdict in (item.comparison.better, item.comparison.not_worse)
        ]
        yield from table(
            ("claim", "verdict", "numbers and rule"),
            [(verdict.claim, verdict.outcome, minus(verdict.rule)) for verdict in verdicts],
        )
        for item in summary.comparisons:
            if item.comparison.difference.n:
                seeds = minus(difference_text(summary, item))
                over = bounds_text(picture_bounds(item))
                yield _item(f"{item.pair}: {seeds}; over test images, not seeds: {over}")
        yield ""
    if content.claims.views:
        yield f"## {content.claims.title}\n"
        if content.claims.own:
            yield f"{escape(f'{content.claims.how_judged} {content.claims.own}')}\n"
        yield from table(
            ("claim", "verdict", "rule"),
            [(claim.statement, claim.outcome, claim.rule) for claim in content.claims.views],
        )
        for claim in content.claims.views:
            if claim.notes:
                yield f"Beside “{escape(claim.statement)}”:\n"
                yield from (_item(note) for note in claim.notes)
                yield ""


def _by_class(content: Content) -> Iterator[str]:
    """The winner's classes, or the first head's where none is chosen; others are on the page."""
    if not content.by_class:
        return
    found = content.by_class[0]
    yield f"## Class by class: {escape(found.head)}\n"
    yield (
        "Test split at the best epoch, mean ± standard deviation over seeds: "
        f"{escape(', '.join(f'{name} {text}' for name, text in found.averages))}. Other heads are "
        "in tables/per_class.csv, misclassified files in tables/misclassified.csv.\n"
    )
    yield from map(_item, found.confused)
    yield ""
    if content.many_classes:
        yield f"<details><summary>{len(found.rows)} classes</summary>\n"
    yield from table(CLASS_TITLES, [row.cells for row in found.rows])
    if content.many_classes:
        yield "</details>\n"


def escape(text: str) -> str:
    """`text` so that Markdown, and HTML within it, prints it and obeys none of it."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def _item(text: str) -> str:
    """An item of a list."""
    return f"- {escape(text)}"


def _fenced(text: str) -> str:
    """A code block whose fence is longer than any run of backticks within."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}\n"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table of plain texts, and an empty one."""
    yield f"| {' | '.join(map(escape, titles))} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(map(escape, row))} |"
    yield ""
