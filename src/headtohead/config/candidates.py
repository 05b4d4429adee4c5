"""Candidates as they are typed: `gap,gem(p=4),my.module:MyHead` → names, heads and options."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headtohead.core.errors import brief
from headtohead.core.files import digest_of

LONGEST = 64
"""Characters of a candidate's name: it is a folder."""

WORDS = {"true": True, "false": False, "null": None, "none": None}
"""Values that YAML writes in words."""

FORBIDDEN = re.compile(r"[^A-Za-z0-9_.+-]")
"""What no candidate's name may hold."""

CALL = re.compile(r"(?P<head>[^()]*)(?:\((?P<options>.*)\))?", re.DOTALL)
OPENING, CLOSING = "([{", ")]}"


def candidates_from(value: Any) -> Any:
    """A study's heads as a mapping from candidates' names, whichever way they were given.

    As `a,b(option=value)`, as a list of such or of mappings `{head: a, options: {…}}`, or as the
    mapping itself. Other values are returned as they are. Raises ValueError.
    """
    if isinstance(value, str):
        value = [part for part in split_outside_brackets(value) if part]
    if isinstance(value, list | tuple):
        return _by_name(candidate_from(item) for item in value)
    if isinstance(value, dict):
        return _by_name(_named(name, head) for name, head in value.items())
    return value


def _named(name: Any, head: Any) -> tuple[Any, Any]:
    """An entry of a mapping; `module:Class` is no name of a candidate, and gets one."""
    head = {} if head is None else head
    if not isinstance(name, str) or ":" not in name:
        return name, head
    return candidate_name(name, {}), {"head": name, **head} if isinstance(head, dict) else head


def _by_name(candidates: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for name, candidate in candidates:
        if name in found and found[name] == candidate:
            raise ValueError(f"{brief(str(name))} named more than once")
        if name in found:
            raise ValueError(
                f"two heads would both be called {brief(str(name))}: name them, as in "
                f"heads: {{mine: {{head: module:Class}}}}"
            )
        found[name] = candidate
    return found


def split_outside_brackets(text: str) -> Iterator[str]:
    """Parts between the commas that stand in no bracket and no quotes, without blanks around.

    Raises ValueError where brackets do not close.
    """
    depth, start, quote = 0, 0, ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
        if depth < 0:
            break
    if depth or quote:
        raise ValueError(f"brackets or quotes do not match; received {brief(repr(text))}")
    yield text[start:].strip()


def candidate_from(item: Any) -> tuple[str, dict[str, Any]]:
    """A candidate's name and what `HeadSpec` is made of. Raises ValueError."""
    if isinstance(item, Mapping):
        head, options = item.get("head"), item.get("options") or {}
        if not isinstance(head, str) or not isinstance(options, Mapping):
            raise ValueError(
                f"a head in a list is a name or a mapping with head and options; "
                f"received {brief(repr(dict(item)))}"
            )
        return candidate_name(head, options), dict(item)
    match = CALL.fullmatch(str(item).strip())
    if match is None or not match["head"].strip():
        raise _unreadable(item)
    head = match["head"].strip()
    options = options_from(match["options"]) if match["options"] is not None else {}
    name = candidate_name(head, options)
    content: dict[str, Any] = {} if name == head else {"head": head}
    return name, {**content, "options": options} if options else content


def options_from(text: str) -> dict[str, Any]:
    """`p=4, learn=false` → {"p": 4, "learn": False}. Raises ValueError."""
    try:
        call = ast.parse(f"_({text})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError(text)
        found: dict[str, Any] = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                raise ValueError(text)
            found[keyword.arg] = _value(keyword.value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise _unreadable(f"({text})") from error
    return found


def _value(node: ast.expr) -> Any:
    """A number, text, true, false, null, a bare word as text, or a list of these."""
    if isinstance(node, ast.Name):
        return WORDS.get(node.id, node.id)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)


def _unreadable(item: object) -> ValueError:
    return ValueError(
        f"a head with options is written name(option=value, option=[value, value]); "
        f"received {brief(repr(str(item)))}"
    )


def candidate_name(head: str, options: Mapping[str, Any]) -> str:
    """What a head with options is called where it was given no name: `gem-p4`.

    `module:Class` becomes `module.Class`: the name is a folder. Letters that no folder may have
    become `-`. Of a long one without options the end is kept, where the class stands; one with
    options ends in a digest of them.
    """
    if ":" in head:
        plain = FORBIDDEN.sub("-", head.replace(":", "."))
        start = _from_letter(plain) if options else _from_letter(plain[-LONGEST:])
    else:
        start = head
    name = "-".join([start, *(f"{name}{_word(value)}" for name, value in options.items())])
    if len(name) <= LONGEST or not options:
        return name
    digest = digest_of({"head": head, "options": dict(options)})[:8]
    return f"{name[: LONGEST - 9]}-{digest}"


def _from_letter(text: str) -> str:
    return re.sub(r"^[^A-Za-z0-9]+", "", text) or "head"


def candidate_text(name: str, head: str, options: Mapping[str, Any]) -> str:
    """How candidate `name` is typed: `gem(p=4)` where that gives the name, else its head."""
    if not options or name != candidate_name(head, options):
        return head
    return f"{head}({', '.join(f'{option}={value!r}' for option, value in options.items())})"


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(_word, value))
    if isinstance(value, str):
        return "-" + FORBIDDEN.sub("_", value)
    if value is None or isinstance(value, bool):
        return f"-{str(value).lower()}"
    return FORBIDDEN.sub("_", str(value))
