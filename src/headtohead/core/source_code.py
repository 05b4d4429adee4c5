"""What code a head of the user's own is made of, found without running it.

A run is trained by a class's code as it was on that day. Its SHA-256, over the class's module and
the modules of the user's that it imports, is part of the run's record, so that results of one
version are never taken for another's.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

OWN = "headtohead"
_LIBRARIES = ("site-packages", "dist-packages")


def source_digest(reference: str) -> str | None:
    """The SHA-256, as hex, of the source behind `module:Class`; None for any other name.

    Covers the module's file and, from import to import, the files of its package, and those that
    lie in the folder that an import finds it from; of an installed library the module's file
    alone. Line ends do not count. None where there is no file, as for a class typed into a
    notebook, and for a class of headtohead itself, whose version a study remembers.
    """
    module, _, attribute = reference.partition(":")
    if not attribute or module.partition(".")[0] == OWN or (file := _file_of(module)) is None:
        return None
    root = _root(module, file)
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (path := file if name == module else _file_of(name)) is None:
            continue
        if name != module and not _beside(name, module, path, root):
            continue
        try:
            found[name] = path.read_bytes().replace(b"\r\n", b"\n")
        except OSError:
            continue
        waiting += _imports(found[name], name, is_package=path.name == "__init__.py")
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\0{len(found[name])}\0".encode())
        digest.update(found[name])
    return digest.hexdigest() if found else None


def _file_of(module: str) -> Path | None:
    """The file that an import of `module` would run, last of all; no code is run to find it."""
    search: list[str] | None = None  # sys.path
    spec = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:depth]), search)
        except (ImportError, ValueError, OSError):
            return None
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or ())
        if depth < len(parts) and not search:
            return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    return path if path.suffix in (".py", ".so", ".pyd") else None


def _root(module: str, file: Path) -> Path:
    """The folder that an import of `module`, whose file this is, finds its first part in."""
    depth = module.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


def _beside(name: str, module: str, path: Path, root: Path) -> bool:
    """Whether `name`, no library's, is of the same package as `module` or lies below `root`."""
    top = name.partition(".")[0]
    if top == OWN or set(_LIBRARIES) & set(path.parts):
        return False
    return top == module.partition(".")[0] or path.is_relative_to(root)


def _imports(source: bytes, module: str, *, is_package: bool) -> Iterator[str]:
    """The modules, and perhaps names within them, that a source imports anywhere."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base is None:
                continue
            yield from _with_parents(base)
            for alias in node.names:  # `from package import module`
                yield f"{base}.{alias.name}"


def _absolute(node: ast.ImportFrom, package: str) -> str | None:
    if not node.level:
        return node.module
    parts = package.split(".")
    if not package or node.level > len(parts):
        return None
    base = ".".join(parts[: len(parts) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        top = ".".join(parts[:depth])
        if top.partition(".")[0] not in sys.stdlib_module_names:
            yield top


@functools.cache
def loaded_digest(reference: str) -> str | None:
    """`source_digest` as it was when first asked for: of the code that this process has loaded."""
    return source_digest(reference)
