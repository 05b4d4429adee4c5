"""The families' heads by name, without torch: the tables are read as text, not imported."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def names_of(family: str) -> frozenset[str]:
    """The names of a family's heads, as `heads.table` has them. Raises KeyError for another."""
    module = _parsed("table")
    families = _table(module, "FAMILIES")
    pairs = zip(families.keys, families.values, strict=True)
    tables = {ast.literal_eval(key): table for key, table in pairs if key is not None}
    return frozenset(_names(module, tables[family]))


def _names(module: ast.Module, table: ast.expr) -> Iterator[str]:
    """The keys of a table that is written out, or imported from its family's file."""
    if isinstance(table, ast.Name):
        family = _parsed(_home(module, table.id))
        yield from _names(family, _table(family, table.id))
    elif isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if key is None:  # ** and another table
                yield from _names(module, value)
            else:
                yield ast.literal_eval(key)


def _parsed(module: str) -> ast.Module:
    return ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))


def _home(module: ast.Module, name: str) -> str:
    """The file beside it that a module imports `name` from."""
    return next(
        node.module.rpartition(".")[2]
        for node in module.body
        if isinstance(node, ast.ImportFrom)
        and node.module
        and name in [alias.name for alias in node.names]
    )


def _table(module: ast.Module, name: str) -> ast.Dict:
    """The dictionary that a module assigns to `name`, annotated."""
    return next(
        node.value
        for node in module.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == name
        and isinstance(node.value, ast.Dict)
    )
