"""The wheel is whole and runs where nothing but its requirements is installed: `make wheel`."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(*command: object, cwd: Path = ROOT) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of the files that git has: what lies about in a working tree must not help."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in run(
        "git", "ls-files", "src", "pyproject.toml", "README.md", "LICENSE"
    ).splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", out, source)
    (found,) = out.glob("*.whl")
    return found


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    """Else the page, a shipped study or the types are missing for everybody who installs it."""
    kept = {name.removeprefix("src/") for name in run("git", "ls-files", "src").splitlines()}
    kept = {name for name in kept if (ROOT / "src" / name).is_file()}
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {"headtohead/py.typed", "headtohead/studies/quick.yaml"} <= packed
    assert kept - packed == set()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; its requirements are those of this environment."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    inside = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(inside) / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_installed_commands_run(installed: Path, tmp_path: Path) -> None:
    """Else the first command of a new user fails."""
    command = installed / "bin" / "headtohead"
    where = run(installed / "bin" / "python", "-c", "import headtohead as h; print(h.__file__)")
    assert Path(where.strip()).is_relative_to(installed), "the checkout must not be what is tested"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run(command, "--version", cwd=tmp_path).split()[-1] == version
    shipped = {path.stem for path in (ROOT / "src/headtohead/studies").glob("*.yaml")}
    listed = run(command, "studies", cwd=tmp_path).splitlines()
    assert shipped == {line.partition(":")[0] for line in listed if not line.startswith(" ")}
    assert "gap" in run(command, "heads", cwd=tmp_path)


def test_the_version_is_the_same_everywhere() -> None:
    """Else a citation names a version that nobody can install."""
    texts = [
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("pyproject.toml", "CITATION.cff", "src/headtohead/__init__.py")
    ]
    pattern = r'^(?:__version__|version)(?::| =) "?([\d.]+)"?$'
    found = [re.search(pattern, text, re.MULTILINE) for text in texts]
    assert len({match[1] if match else None for match in found}) == 1
    assert None not in found


def test_the_lowest_versions_are_those_of_the_project() -> None:
    """Else `make lowest` tests other bounds than those that are promised."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [*project["dependencies"], *project["optional-dependencies"]["fast"]]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints-lowest.txt").read_text().splitlines()
    )
    for line in promised:
        name, bound = line.split(">=")
        if name != "torch":  # see docs/releasing.md
            assert pins[name].split(".")[: bound.count(".") + 1] == bound.split("."), name
    assert len(pins) == len(promised)
