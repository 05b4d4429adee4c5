"""The shape of the program: imports point down only, and most of it needs no torch."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import headtohead
from ledgers import full_ledger

PACKAGE = Path(headtohead.__file__).parent

# Top to bottom. A module belongs to its longest prefix here, and may import its own layer and
# those below.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("cli_models",),
    ("console",),
    ("compare", "data_commands", "tuning"),
    ("runtime",),
    ("result",),
    ("deploy",),
    ("report.render",),
    ("report.formats",),
    ("report.page",),
    ("report",),
    ("claims",),
    ("report.charts",),
    ("study_data",),
    ("analysis",),
    ("probes",),
    ("training",),
    ("accel",),
    ("testing",),
    ("heads", "models"),
    ("backbones",),
    ("store",),
    ("data",),
    ("stats",),
    ("config",),
    ("core",),
)
ROOT = ("", "__main__")  # the package's face and its entry point stand outside


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Dotted name below the package → file; a package is its `__init__`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer_of(module: str) -> int | None:
    """The layer's index by the longest prefix; None where no layer has a place for it."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        for index, names in enumerate(LAYERS):
            if prefix in names:
                return index
    return None


def imports_of(source: str, known: dict[str, Path]) -> Iterator[str]:
    """Every module of the package that a source imports, at its top or within a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] != "headtohead":
                continue
            below = name.partition(".")[2]
            while below and below not in known:  # a name within a module: its module counts
                below = below.rpartition(".")[0]
            yield below


def upward_imports(package: Path = PACKAGE) -> list[str]:
    known = modules(package)
    upward = []
    for module, path in known.items():
        if module in ROOT:
            continue
        mine = layer_of(module)
        for target in imports_of(path.read_text(encoding="utf-8"), known):
            theirs = layer_of(target)
            if target and mine is not None and theirs is not None and theirs < mine:
                upward.append(f"{module} imports {target}")
    return upward


def test_imports_point_down_only() -> None:
    """Else the program becomes a knot: a reader of one part must know all of them."""
    assert upward_imports() == []


def test_every_module_has_a_layer() -> None:
    """Else a new module escapes the rule: give it its place in LAYERS."""
    assert [name for name in modules() if name not in ROOT and layer_of(name) is None] == []


def test_an_upward_import_is_found(tmp_path: Path) -> None:
    """Else the test above passes whatever is imported."""
    for name, text in {
        "__init__.py": "",
        "cli.py": "from headtohead.data import split",
        "data/__init__.py": "",
        "data/split.py": "from headtohead import core\n\ndef f():\n    import headtohead.cli",
        "heads/__init__.py": "",
        "heads/base.py": "from headtohead.training.run import train",
        "training/run.py": "from headtohead.heads.base import Head",
        "core/__init__.py": "from headtohead import heads, __version__",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert upward_imports(tmp_path) == [
        "core imports heads",
        "data.split imports cli",
        "heads.base imports training.run",
    ]


REPORT_PARTS = ("charts", "page", "formats")
"""Bottom to top: charts import no page, and only `report.render` imports formats."""


def upward_in_report(package: Path = PACKAGE) -> list[str]:
    """Imports within `report` that point from one of its parts to a higher one."""
    known = modules(package)
    upward = []
    for module, path in known.items():
        for target in imports_of(path.read_text(encoding="utf-8"), known):
            mine, theirs = part_of(module), part_of(target)
            if mine is not None and theirs is not None and theirs > mine:
                upward.append(f"{module} imports {target}")
    return upward


def part_of(module: str) -> int | None:
    """Where a module stands in `report`: by its part; the modules beside them below the pages."""
    names = module.split(".")
    if names[0] != "report" or names[1:] in ([], ["render"]):
        return None
    return 2 * REPORT_PARTS.index(names[1]) if names[1] in REPORT_PARTS else 1


def test_charts_stand_below_pages_and_formats_on_top() -> None:
    """Else a chart cannot be drawn without the page, and the two grow into one."""
    assert upward_in_report() == []


def test_an_upward_import_within_report_is_found(tmp_path: Path) -> None:
    """Else the test above passes whatever is imported."""
    for name, text in {
        "report/__init__.py": "",
        "report/charts/dots.py": "from headtohead.report.page import content",
        "report/charts/style.py": "import headtohead.report.summary",
        "report/page/content.py": "def f():\n    from headtohead.report.formats.csv import rows",
        "report/summary.py": "from headtohead.report.charts import style",
        "report/formats/csv.py": "from headtohead.report.page.content import x",
        "report/render.py": "from headtohead.report.formats import csv",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert upward_in_report(tmp_path) == [
        "report.charts.dots imports report.page.content",
        "report.charts.style imports report.summary",
        "report.page.content imports report.formats.csv",
    ]


def test_every_layer_is_of_modules_that_exist() -> None:
    """Else a module that was renamed leaves its old place, and the next of that name gets it."""
    assert [name for names in LAYERS for name in names if name not in modules()] == []


IMPORT_WITHOUT_TORCH = """
import importlib, json, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, NoTorch())
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
json.dump({"failed": failed, "torch": "torch" in sys.modules}, sys.stdout)
"""

# What must work, or start quickly, without torch: all of a command but its workers, reports,
# analysis, the preparation of images (in many light processes), and reading studies.
LIGHT = (
    *("cli", "cli_models", "console", "compare", "data_commands", "result", "deploy"),
    *("report", "claims", "study_data", "analysis", "probes", "stats"),
    *("data", "store", "config", "core"),
)

LIGHT_MODULES = (
    *(
        "runtime.runner",
        "runtime.executor",
        "runtime.preflight",
        "runtime.progress",
        "runtime.jobs",
        "runtime.local",
    ),
    *("heads", "heads.guidance", "runtime.doctor", "runtime.machine"),
    *(
        "runtime.process",
        "runtime.interim",
        "runtime.forecast",
        "runtime.forecast_text",
        "runtime.plan",
    ),
)


def run_without_torch(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(PACKAGE.parent), "MPLBACKEND": "agg", "HOME": "/nonexistent"},
    )


def test_what_needs_no_torch_imports_none() -> None:
    """Else `--help` and reports wait seconds for torch, and preparing takes memory per worker."""
    light = [name for name in modules() if name.split(".")[0] in LIGHT]
    light += LIGHT_MODULES
    assert {"cli", "config.study", "store.ledger", *LIGHT_MODULES} <= set(modules())
    names = ["headtohead", *(f"headtohead.{name}" for name in light)]
    result = run_without_torch(IMPORT_WITHOUT_TORCH, json.dumps(names))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"failed": {}, "torch": False}


def test_the_block_blocks() -> None:
    """Else the test above passes on modules that import torch."""
    result = run_without_torch(IMPORT_WITHOUT_TORCH, '["headtohead.heads.base"]')
    assert json.loads(result.stdout)["failed"].keys() == {"headtohead.heads.base"}


COMMAND_WITHOUT_TORCH = (
    IMPORT_WITHOUT_TORCH.partition("failed =")[0]
    + """
from headtohead.cli import main
main(sys.argv[1:], prog_name="headtohead")
"""
)


def test_a_report_is_made_without_torch(tmp_path: Path) -> None:
    """Else results cannot be drawn anew on a machine that never trains."""
    full_ledger(tmp_path, seeds=2, epochs=2)
    result = run_without_torch(COMMAND_WITHOUT_TORCH, "report", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "summary.json").is_file()
    page = tmp_path / "studies.html"
    full_ledger(tmp_path / "other", heads=("fc", "gap"), seeds=1, epochs=1)
    folders = (str(tmp_path), str(tmp_path / "other"))
    result = run_without_torch(COMMAND_WITHOUT_TORCH, "report", *folders, "--out", str(page))
    assert result.returncode == 0, result.stderr
    assert page.is_file()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compare", "--help"]], ids=str)
def test_help_works_without_torch(arguments: list[str]) -> None:
    """Else a broken torch hides the very text that says what to do."""
    result = run_without_torch(COMMAND_WITHOUT_TORCH, *arguments)
    assert result.returncode == 0, result.stderr
    assert "headtohead" in result.stdout
