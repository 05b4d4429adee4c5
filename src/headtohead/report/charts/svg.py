"""A matplotlib figure as SVG: small, and inside a page without clashes and in the page's theme.

matplotlib writes a file of its own: ids that repeat from figure to figure, colours fixed in
style attributes. Inside a page the ids must differ, and colours must follow light and dark, so
every colour becomes a class that the style sheet knows, with the light colour as the fallback of
readers that have no style sheet.
"""

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HEAD_ID = "head-"
"""An artist whose gid is `head-<i>` becomes a group with `data-head="<i>"`: it can be hidden."""

_DROPPED = {"font-family", "font-style", "font-weight", "font-variant", "font-stretch"}
# A style element would rule the whole page, which also forbids any that it does not know.
_UNWANTED = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
_HREF = f"{{{XLINK}}}href"
FONTS = "DejaVu Sans, Verdana, sans-serif"
"""What matplotlib lays text out with, and what is as wide."""

_LONG = re.compile(r"-?\d+\.\d{2,}")
_COLORED = {"fill": "f", "stroke": "s"}


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element in text; `name` prefixes its ids.

    `title` and `description` are what a screen reader says. The figure's dpi must be 72, so that
    its pixels are the SVG's units.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = _parsed(buffer.getvalue())
    used = {element.get(_HREF, "")[1:] for element in root.iter()} - {""}
    for element in root.iter():
        _themed(element)
        _identified(element, name, used)
        _shortened(element)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-t {name}-d")
    for tag, suffix, text in (("desc", "d", description), ("title", "t", title)):
        label = ET.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{suffix}"})
        label.text = text
        root.insert(0, label)
    return ET.tostring(root, encoding="unicode")


def file_svg(content: bytes) -> bytes:
    """What matplotlib wrote, as a smaller file: shorter numbers, and a shared style once."""
    root = _parsed(content)
    for element in root.iter():
        declared = [d for d in _declarations(element.get("style", "")) if d[0] != "font-family"]
        if declared:
            element.set("style", ";".join(f"{key}:{value}" for key, value in declared))
        _shortened(element, decimals=2)
    for parent in root.iter():
        _hand_up(parent)
    root.attrib.update({"font-family": FONTS, "stroke-linejoin": "round"})
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _parsed(content: bytes) -> ET.Element:
    """What matplotlib wrote, without what may not stand in a page."""
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(content)  # noqa: S314 - our own
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in _UNWANTED]:
            parent.remove(child)
    return root


def _hand_up(parent: ET.Element) -> None:
    """The style that all children share becomes their parent's; opacity is not inherited."""
    styles = {child.get("style") for child in parent}
    if len(parent) > 1 and len(styles) == 1 and "style" not in parent.attrib:
        (shared,) = styles
        if shared and not re.search(r"(^|;)opacity:", shared):
            parent.set("style", shared)
            for child in parent:
                del child.attrib["style"]


def color_class(color: str) -> str:
    """The name that the style sheet knows a colour by: `#D55E00` → `d55e00`."""
    return color.lstrip("#").lower()


def _themed(element: ET.Element) -> None:
    """Style declarations as attributes, and a class for each colour."""
    style = element.attrib.pop("style", "")
    for key, value in _declarations(style):
        if key == "font":
            key, value = "font-size", value.split("px")[0].split()[-1]
        if key not in _DROPPED and (key, value) != ("opacity", "1"):
            element.set(key, value.removesuffix("px") if key == "font-size" else value)
    classes = [
        f"{short}-{color_class(color)}"
        for key, short in _COLORED.items()
        if (color := element.get(key, "")).startswith("#")
    ]
    if element.tag == f"{{{SVG}}}text" and "fill" not in element.attrib:
        classes.append("f-111111")
    if classes:
        element.set("class", " ".join(classes))


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for part in style.split(";"):
        key, colon, value = part.partition(":")
        if colon:
            yield key.strip(), value.strip()


def _identified(element: ET.Element, name: str, used: set[str]) -> None:
    """Ids that something refers to get the prefix, a head's group its number; others go."""
    own = element.attrib.pop("id", "")
    if own.startswith(HEAD_ID):
        element.set("data-head", own.removeprefix(HEAD_ID).split(".")[0])
    elif own in used or element.tag == f"{{{SVG}}}clipPath":
        element.set("id", f"{name}-{own}")
    if _HREF in element.attrib:
        element.set(_HREF, f"#{name}-{element.attrib[_HREF][1:]}")
    clip = element.get("clip-path", "")
    if clip:
        element.set("clip-path", clip.replace("url(#", f"url(#{name}-"))


def _shortened(element: ET.Element, decimals: int = 1) -> None:
    """One decimal of a point is finer than any screen, two than any print."""
    element.tail = None
    if element.tag != f"{{{SVG}}}text":
        element.text = None
    for key in ("d", "x", "y", "transform", "width", "height"):
        value = element.get(key)
        if value:
            value = _LONG.sub(lambda match: f"{float(match.group()):.{decimals}f}", value)
            element.set(key, " ".join(value.split()))
    if element.get("transform", "").startswith("rotate(-0 "):  # of every label: no turn at all
        del element.attrib["transform"]
