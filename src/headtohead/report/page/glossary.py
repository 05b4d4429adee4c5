"""Technical terms of the page, each explained in one or two sentences where it first stands."""

import re
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Final


@dataclass(frozen=True)
class Term:
    """A term: `key` names its explanation on the page, `pattern` is how texts write it."""

    key: str
    title: str
    pattern: str
    about: str


TERMS: Final = (
    Term(
        "holm",
        "Holm's correction",
        r"Holm(?:[’'](?:s correction|s level)|(?:&#39;)s correction|-adjusted)?",
        "Of several tests, one is more likely to find a difference that is chance. Holm's "
        "correction makes each test stricter, so that all of them together keep the level.",
    ),
    Term(
        "ece",
        "ECE, expected calibration error",
        r"ECE|[Cc]alibration error",
        "How far stated confidence and the share of right answers lie apart: 0 is best. A model "
        "that says 90 % should be right nine times in ten.",
    ),
    Term(
        "brier",
        "Brier score",
        r"Brier(?:(?:'|&#39;|’)s score| score)?",
        "The mean squared distance between the stated probabilities and the truth, from 0 (best) "
        "to 2.",
    ),
    Term(
        "log-loss",
        "Log loss",
        r"[Ll]og loss|[Cc]ross-entropy",
        "How surprised the model is by the true class: minus the logarithm of the probability it "
        "gave it. 0 is best; confident mistakes cost most.",
    ),
    Term(
        "nats",
        "Nat",
        r"nats",
        "The unit of log loss with the natural logarithm. Guessing between two classes costs 0.69 "
        "nats.",
    ),
    Term(
        "auroc",
        "AUROC",
        r"AUROC",
        "How often an image of a class gets a higher score for it than an image of another class: "
        "0.5 is guessing, 1 is best.",
    ),
    Term(
        "sign-flip",
        "Sign-flip test",
        r"[Ss]ign-flip test",
        "If two heads were equal, each seed's difference could as well have the other sign. The "
        "test counts how often random signs give a mean as large as the measured one.",
    ),
    Term(
        "student",
        "Student's t interval",
        r"Student(?:'|&#39;|’)s t(?: interval)?",
        "A range that holds the true mean difference with the stated confidence, if differences "
        "are spread like a bell.",
    ),
    Term(
        "non-inferiority",
        "Non-inferiority",
        r"[Nn]on-inferiority(?: test)?|[Aa]t least as good as",
        "Shown to be not worse by more than a margin that was chosen beforehand. It does not say "
        "better.",
    ),
    Term(
        "grad-cam",
        "Grad-CAM",
        r"Grad-CAM",
        "A map of an image that shows which places speak for a class, found from the gradients of "
        "the class's score.",
    ),
    Term(
        "kappa",
        "Cohen's kappa",
        r"(?:Cohen(?:'|&#39;|’)s )?kappa",
        "How often two answers agree beyond what chance would give: 0 is chance, 1 is always.",
    ),
    Term(
        "mcnemar",
        "McNemar's test",
        r"McNemar(?:'|&#39;|’)s (?:tests?|p-values|p)|McNemar",
        "Compares two models on the same images by those that only one of them gets right.",
    ),
    Term(
        "batch-norm",
        "Batch-norm statistics",
        r"[Bb]atch-norm statistics",
        "Averages of the network's inner values that are gathered in training and used in "
        "evaluation. Where they lag behind the weights, evaluation shows less than was learned.",
    ),
    Term(
        "over-fitting",
        "Over-fitting",
        r"[Oo]ver-fitting",
        "Doing better on the training images than on new ones: memorised instead of understood.",
    ),
    Term(
        "p-value",
        "p-value",
        r"p-values?",
        "How often chance alone would give a difference at least as large, if the heads were "
        "equal.",
    ),
)
"""Every term; a text that several match is of the first."""

SILENT = frozenset(
    {"a", "button", "code", "dt", "h1", "h2", "h3", "h4", "label", "option", "pre", "script"}
    | {"select", "strong", "style", "summary", "svg", "title"}
)
"""Elements in which nothing is explained: they are pressed, read aloud as names, or no text."""

_TAG = re.compile(r"(<!--.*?-->|<[^>]*>)", re.S)
_NAMED = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_TERM = re.compile(
    r"(?P<before>\(?)(?:"
    + "|".join(
        f"(?P<t{at}>(?<![\\w-])(?:{term.pattern})(?![\\w-]))" for at, term in enumerate(TERMS)
    )
    + r")(?P<after>[).,;:]*)"
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*(?: \d+)?")
"""An option of the command line as texts name it, with its number."""

_VOID = frozenset({"meta", "img", "br", "input", "wbr", "hr"})


def explain(html: str) -> str:
    """The page with a button at each term's first place in every section, and whole options.

    A line breaks neither within an option nor between a button and its punctuation. Text within
    `SILENT` elements, or within one of class "name" (what users have named), stays.
    """
    parts = _TAG.split(html)
    open_tags: list[tuple[str, bool]] = []
    told: set[str] = set()
    for at, part in enumerate(parts):
        if at % 2:
            _follow(part, open_tags)
            if part.startswith("<section"):
                told = set()
        elif part and not any(silent for _, silent in open_tags):
            parts[at] = _OPTION.sub(_whole, _TERM.sub(partial(_button, told), part))
    return "".join(parts)


def _follow(tag: str, open_tags: list[tuple[str, bool]]) -> None:
    """Open or close an element."""
    named = _NAMED.match(tag)
    if named is None:
        return
    closing, name = named[1], named[2].lower()
    if closing:
        if open_tags and open_tags[-1][0] == name:
            open_tags.pop()
    elif name not in _VOID and not tag.endswith("/>"):
        classes = re.search(r'class="([^"]*)"', tag)
        silent = name in SILENT or bool(classes and {"name", "answer"} & set(classes[1].split()))
        open_tags.append((name, silent))


def _button(told: set[str], found: "re.Match[str]") -> str:
    term = next(term for i, term in enumerate(TERMS) if found[f"t{i}"] is not None)
    if term.key in told:
        return found[0]
    told.add(term.key)
    before, after = found["before"], found["after"]
    button = term_button(term.key, found[0].removeprefix(before).removesuffix(after))
    return f'<span class="whole">{before}{button}{after}</span>' if before or after else button


def _whole(found: "re.Match[str]") -> str:
    return f'<span class="whole">{found[0]}</span>'


def term_in(text: str) -> Term | None:
    """The first term that a text holds."""
    found = _TERM.search(text)
    if found is None:
        return None
    return next(term for at, term in enumerate(TERMS) if found[f"t{at}"] is not None)


def term_button(key: str, text: str, label: str = "") -> str:
    """The button that shows the explanation of `key`; `text` is HTML."""
    named = f' aria-label="{escape(label)}"' if label else ""
    return (
        f'<button type="button" class="term" popovertarget="term-{key}" '
        f'popovertargetaction="show"{named}>{text}</button>'
    )
