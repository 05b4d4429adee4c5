"""What every page shares: templates that trust no name, colours of both themes, its own policy."""

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

import headtohead
from headtohead.core.tex import escape as tex
from headtohead.core.text import confidence, counted, minus
from headtohead.report.charts.chart import Chart
from headtohead.report.charts.style import COLORS, GRID, INK, MUTED, NEUTRAL
from headtohead.report.charts.svg import color_class
from headtohead.report.page.glossary import TERMS, explain, term_button, term_in

THEME = {
    INK: ("#1a1c1e", "#e8eaec"),
    MUTED: ("#5a6066", "#a5adb5"),
    GRID: ("#e3e6e9", "#2c3136"),
    NEUTRAL: ("#7b828a", "#8d959d"),
    "#D55E00": ("#c75300", "#ff8f45"),
    "#009E73": ("#00845f", "#36cf9f"),
    "#0072B2": ("#0068a6", "#4fa6ec"),
    "#CC79A7": ("#b4508a", "#e7a0c8"),
    "#E69F00": ("#a87300", "#f2b632"),
    "#56B4E9": ("#1a9ad4", "#b4e2ff"),
    "#882255": ("#882255", "#d4608c"),
    "#999933": ("#707018", "#c9c95a"),
    "#332288": ("#4b3fa8", "#aaa2f5"),
    "#000000": ("#000000", "#f4f4f4"),
    "#7F7F7F": ("#6b6b6b", "#b5b5b5"),
}
"""Every colour of a chart on light and on dark ground: lines at 3 : 1 and text at 4.5 : 1."""

GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}


def render_template(name: str, charts: Iterable[Chart], **content: Any) -> str:
    """The page of a template of `parts/`; the pointer reads the values of `charts`.

    It loads nothing, runs only its own script, and explains terms where they first stand. Every
    name in it is escaped: only our own SVG and files are not.
    """
    css, script = part("style.css") + colors(), part("script.js")
    page = _template(name).render(
        css=css,
        script=script,
        policy=policy(css, script),
        values=values(charts),
        version=headtohead.__version__,
        glossary=TERMS,
        glyphs=GLYPHS,
        **content,
    )
    return explain(page)


def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("headtohead.report.page", "parts"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "color_class": color_class,
        "tex": tex,
        "minus": minus,
        "confidence": confidence,
        "counted": counted,
        "counted_pair": _pairs,
        "term": _term,
    }
    return environment.get_template(name)


def _pairs(count: int) -> str:
    return "The comparison in a sentence" if count == 1 else f"The {count} comparisons in sentences"


def _term(title: str) -> Markup:
    """A button that explains a column's title, where the glossary has a word of it."""
    term = term_in(title)
    if term is None:
        return Markup()
    return Markup(term_button(term.key, "?", f"What is {term.title}?"))  # noqa: S704 - our own


@cache
def part(name: str) -> str:
    """A file of `parts/`."""
    return (resources.files("headtohead.report.page") / "parts" / name).read_text(encoding="utf-8")


def colors() -> str:
    """Chart colours in both themes, and the shades of confusion tables."""
    light, dark, classes = [], [], []
    for color in (*THEME, *(c for c in COLORS if c not in THEME)):
        name = color_class(color)
        pair = THEME.get(color, (color, color))
        light.append(f"--c-{name}:{pair[0]}")
        dark.append(f"--c-{name}:{pair[1]}")
        classes.append(
            f".f-{name}{{fill:var(--c-{name});color:var(--c-{name})}}"
            f".s-{name}{{stroke:var(--c-{name})}}"
        )
    shades = [f".q{i}{{background:rgba(var(--shade),{0.04 * i:.2f})}}" for i in range(11)]
    return (
        f":root{{{';'.join(light)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{';'.join(dark)}}}}}"
        + "".join(classes)
        + "".join(shades)
    )


def policy(css: str, script: str) -> str:
    """Nothing may be loaded; this style sheet and this script alone are obeyed."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def values(charts: Iterable[Chart]) -> str:
    """What the pointer reads in `charts`, as JSON that cannot end its script element."""
    content = {
        chart.name: [
            {"label": s.label, "head": s.head, "places": s.places, "said": s.said}
            for s in chart.series
        ]
        for chart in charts
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
