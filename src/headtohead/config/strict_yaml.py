"""YAML as a study file may use it: what could mean two things is refused, not guessed.

Scalars are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema): `yes`
and `1:30` are texts, `1e-3` is a number. A number with a leading zero is 8 in one version of YAML
and 10 in another, and is refused; so are keys given twice, texts that expand without end, and tags.
"""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from headtohead.core.errors import UsageError, brief

MOST_NODES = 20_000
"""Values in a study file, aliases expanded: the longest shipped one has under 200."""

DEEPEST = 40
"""Mappings and lists within one another."""

_CORE = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}
_PLAIN = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


class _Loader(yaml.SafeLoader):
    """Plain scalars as YAML 1.2 has them."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_yaml_int(self, node: Any) -> int:
        """Decimal, 0o… or 0x…."""
        text = str(self.construct_scalar(node))
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would read as anything but a text."""


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _class in (_Loader, _Dumper):
    for _kind, _pattern, _first in _PLAIN:
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first)
        )


def write_yaml(content: Any, width: int = 100) -> str:
    """What `read_yaml` reads as `content`, keys in their order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)


def read_yaml(text: str, where: str) -> Any:
    """The one value of a YAML text; `where` is what errors call it. Raises UsageError."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise UsageError(f"{where} is empty: a study is a mapping of fields in YAML.")
            _check(node, where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{where} is not valid YAML: {_in_words(error)}") from error
    except RecursionError:
        raise UsageError(f"{where} is nested too deeply for a study: {DEEPEST} levels.") from None


def _in_words(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        problem = brief(error.problem or error.context or "")
        return f"{problem} (line {mark.line + 1}, column {mark.column + 1})."
    return f"{brief(str(error))}."


def _check(root: Node, where: str) -> None:
    """Refuse, in the order of the text, what is ambiguous or has no end. Raises UsageError."""
    count = 0

    def visit(node: Node, above: tuple[Node, ...]) -> None:
        nonlocal count
        count += 1
        line = node.start_mark.line + 1
        if node in above:
            raise UsageError(f"{where}, line {line}: the alias of a value stands within itself.")
        if count > MOST_NODES:
            raise UsageError(f"{where} expands to more than {MOST_NODES:,} values: use no aliases.")
        if len(above) > DEEPEST:
            raise UsageError(f"{where}, line {line}: nested deeper than {DEEPEST} levels.")
        if isinstance(node, ScalarNode):
            _check_scalar(node, f"{where}, line {line}")
        elif isinstance(node, SequenceNode):
            for item in node.value:
                visit(item, (*above, node))
        elif isinstance(node, MappingNode):
            _check_keys(node, where)
            for key, item in node.value:
                visit(key, (*above, node))
                visit(item, (*above, node))

    visit(root, ())


def _check_scalar(node: ScalarNode, where: str) -> None:
    if node.style is None and _LEADING_ZERO.fullmatch(node.value):
        raise UsageError(
            f"{where}: {brief(node.value)} is one number in YAML 1.1 and another in 1.2: write it "
            f"without leading zeros, or in quotes for a text."
        )
    if node.tag not in _CORE:
        raise UsageError(f"{where}: the tag {brief(node.tag)} has no place in a study; remove it.")


def _check_keys(node: MappingNode, where: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise UsageError(f"{where}, line {line}: a key must be a name, not a list or mapping.")
        if key.value in seen:
            raise UsageError(
                f"{where}, line {line}: {brief(key.value)} is given twice (first in line "
                f"{seen[key.value]}); keep one."
            )
        seen[key.value] = line
