"""A Sphinx extension: the site's pages from docs/*.md, and what is generated from the code.

A page holds `<!-- generated: NAME -->` where a part is generated. Links in docs/*.md are written
for a reader of the repository: those to pages and pictures stay, those to a kept study's folder or
report.md open its page, which is made from the ledger as `headtohead report` makes it, and those to
other files become the file's path, because the site carries no source.
"""

import inspect
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import headtohead
from headtohead.cli import main
from headtohead.config import execution, images, recipe, search_space, study, verdict
from headtohead.report.render import render
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LEDGERS = DOCS / "ledgers"

SECTIONS = {
    "guides": (
        *("data", "backbones", "planning", "study_file", "heads", "own_head"),
        *("tuning", "deploy", "devices", "large_data", "cluster"),
    ),
    "concepts": ("statistics", "claims", "fairness", "evaluation"),
    "reference": ("cli", "python", "study_schema"),
    "results": ("reports", "article", "full_scale", "zoo"),
    "benchmarks": ("peers", "speed", "measuring"),
    "design": ("contributing", "releasing", "changelog"),
}
"""Pages of each section in their order. One that stands in none is a guide."""

STANDING = {"index", "start", *SECTIONS}

MODELS = (
    *(study.StudySpec, images.PicturesSpec, images.SplitSpec, study.BackboneSpec, study.HeadSpec),
    *(recipe.RecipeSpec, recipe.AugmentSpec, verdict.VerdictSpec),
    *(execution.ExecutionSpec, execution.PerRunSpec),
    *(search_space.TuningSpec, search_space.RecipeSpace, search_space.AugmentSpace),
    search_space.Range,
)

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)\s*$)", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^<!-- generated: (\w+)(?: (\S+))? -->$", re.MULTILINE)


def contents(section: str) -> str:
    """The table of contents of a section, its pages where they exist."""
    pages = {path.stem for path in DOCS.glob("*.md")}
    names = [name for name in SECTIONS[section] if name in pages]
    if section == "guides":
        placed = {name for listed in SECTIONS.values() for name in listed}
        names += sorted(pages - placed - STANDING)
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", *names, "```"])


def command_line() -> str:
    """Every command with its arguments and options, as its `--help` tells them."""
    return "\n".join(_command("headtohead", main))


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {path}\n\n```text\n{path} {usage}\n```\n\n{_prose(command.help)}\n"
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    rows = [found for option in options if (found := option.get_help_record(context))]
    if rows:
        yield "| option | what it does |\n|---|---|"
        yield from (f"| `{_cell(flag)}` | {_cell(_escaped(text))} |" for flag, text in rows)
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _command(f"{path} {name}", command.commands[name])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _prose(text: str | None) -> str:
    lines = (text or "").replace("\b", "").splitlines()
    return _escaped("\n".join(line.strip() for line in lines))


def _escaped(text: str) -> str:
    return text.replace("<", "\\<").replace("[", "\\[").replace("*", "\\*")


def study_schema() -> str:
    """Each model of a study's YAML file: its keys, what they may be, their defaults."""
    return "\n".join(line for model in MODELS for line in _model(model))


def _model(model: Any) -> Iterator[str]:
    yield f"## {model.__name__}\n\n{_escaped(inspect.cleandoc(model.__doc__ or ''))}\n"
    schema = model.model_json_schema(mode="validation")
    properties = schema.get("properties", {})
    yield "| key | type | default |\n|---|---|---|"
    for name, field in model.model_fields.items():
        shown = _cell(_type_of(properties.get(name, {})))
        yield f"| `{name}` | {shown} | {_default(field)} |"
    yield ""


def _type_of(part: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in {m.__name__ for m in MODELS} else name
    for key in ("anyOf", "oneOf", "allOf"):
        if key in part:
            return " or ".join(dict.fromkeys(_type_of(one) for one in part[key]))
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    kind = part.get("type", "anything")
    if kind == "array" and "prefixItems" in part:
        return f"[{', '.join(map(_type_of, part['prefixItems']))}]"
    if kind == "array":
        return f"list of {_type_of(part.get('items', {}))}"
    if kind == "object" and isinstance(part.get("additionalProperties"), dict):
        return f"mapping to {_type_of(part['additionalProperties'])}"
    return ("mapping" if kind == "object" else kind) + _bounds(part)


def _bounds(part: dict[str, Any]) -> str:
    names = {
        "minimum": "≥",
        "exclusiveMinimum": "\\>",
        "maximum": "≤",
        "exclusiveMaximum": "\\<",
    }
    told = [f"{sign} {part[key]:g}" for key, sign in names.items() if key in part]
    return f" {', '.join(told)}" if told else ""


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=not field.default_factory_takes_validated_data)
    if value is PydanticUndefined or value is None:
        return "none"
    if hasattr(value, "model_dump"):
        return "its own defaults"
    if isinstance(value, dict) and value:
        return ", ".join(f"`{name}`" for name in value)
    return f"`{_cell(repr(value))}`"


def python_names() -> str:
    """The public names of `headtohead`, each from its docstring."""
    blocks = []
    for name in headtohead.__all__:
        found = getattr(headtohead, name)
        kind = "autofunction" if not isinstance(found, type) else "autoclass"
        if isinstance(found, type) and issubclass(found, Exception):
            kind = "autoexception"
        told, before = f".. {kind}:: headtohead.{name}", ""
        if isinstance(found, type) and issubclass(found, BaseModel):  # its signature is a page long
            told += "(**keys)\n   :exclude-members: model_config"
            before = "Its keys: [the study file](study_schema.md).\n\n"
        told = f"{before}```{{eval-rst}}\n{told}\n```"
        blocks.append(f"## {name}\n\n{told}\n")
    return "\n".join(blocks)


def included(path: str) -> str:
    """Another Markdown file of the repository, its links as seen from docs/."""
    source = ROOT / path
    return rewritten(source.read_text(encoding="utf-8"), source.parent)


GENERATED: dict[str, Callable[..., str]] = {
    "contents": contents,
    "command_line": command_line,
    "study_schema": study_schema,
    "python_names": python_names,
    "included": included,
}


def rewritten(text: str, base: Path) -> str:
    """`text` with every link, which is relative to `base`, as the site needs it."""
    parts = _FENCE.split(text)
    for index in range(0, len(parts), 2):
        parts[index] = _LINK.sub(lambda match: _link(match, base), parts[index])
    return "".join(parts)


def _link(match: re.Match[str], base: Path) -> str:
    picture, text, target = match.groups()
    path, _, anchor = target.partition("#")
    if re.match(r"\w+:", target) or not path:
        return match[0]
    file = (base / path).resolve()
    page = _page_of(file)
    if page is not None:
        return f"{picture}[{text}]({page}{'#' + anchor if anchor else ''})"
    if picture:
        return f"![{text}](/{file.relative_to(DOCS)})"
    folder = file.parent if file.name == "report.md" else file
    if folder.parent == LEDGERS:
        return f'<a href="reports/{folder.name}.html">{text}</a>'
    inside = file.relative_to(ROOT)
    return f"{text}" if str(inside) in text else f"{text} (`{inside}`)"


PLACES = {
    ROOT / "README.md": "start.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "benchmarks" / "README.md": "measuring.md",
}
"""Files outside docs/ that a page of the site includes."""


def _page_of(file: Path) -> str | None:
    if file in PLACES:
        return PLACES[file]
    return file.name if file.parent == DOCS and file.suffix == ".md" else None


def _on_source(_: "Sphinx", __: str, source: list[str]) -> None:
    text = rewritten(source[0], DOCS)
    source[0] = _MARK.sub(lambda mark: GENERATED[mark[1]](*filter(None, [mark[2]])), text)


def _on_finish(app: "Sphinx", error: Exception | None) -> None:
    if error is None:
        write_reports(Path(app.outdir) / "reports")


def write_reports(folder: Path) -> None:
    """The page of every kept study, made from its ledger."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for ledger in sorted(LEDGERS.iterdir()):
            copy = Path(shutil.copytree(ledger, Path(name) / ledger.name))
            render(StudyData(Ledger.open(copy)))
            shutil.move(copy / "report.html", folder / f"{ledger.name}.html")


def _on_docstring(app: "Sphinx", *about: Any) -> None:
    """Docstrings are plain text: a star is a star, and each option stands on a line of its own."""
    lines: list[str] = about[-1]
    for index, line in enumerate(lines):
        option = re.fullmatch(r"    (\w+): (.*)", line)
        shown = f"- ``{option[1]}``: {option[2]}" if option else line
        lines[index] = shown.replace("*", "\\*")
    if "Options:" in lines:
        lines.insert(lines.index("Options:") + 1, "")


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _on_source)
    app.connect("autodoc-process-docstring", _on_docstring)
    app.connect("build-finished", _on_finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
