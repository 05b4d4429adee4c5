"""A software bill of materials of this environment, as CycloneDX 1.6: `python tools/sbom.py FILE`.

What is installed, by `importlib.metadata`: name, version, licence, package URL and what requires
what. Without a date or a random serial number: the same environment gives the same bytes.
"""

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def components() -> list[dict[str, Any]]:
    """Every installed distribution but headtohead itself, by name."""
    found: dict[str, dict[str, Any]] = {}
    for distribution in metadata.distributions():
        name = _normalized(distribution.metadata["Name"])
        if name != "headtohead":
            found.setdefault(name, _component(name, distribution))
    return [found[name] for name in sorted(found)]


def _component(name: str, distribution: metadata.Distribution) -> dict[str, Any]:
    url = f"pkg:pypi/{name}@{distribution.version}"
    part: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": distribution.version,
        "purl": url,
    }
    said = distribution.metadata.json
    licence = said.get("license_expression") or said.get("license")
    if licence and "\n" not in licence:  # some carry the whole text
        part["licenses"] = [{"license": {"name": licence}}]
    return part


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def dependencies(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each component requires, of what is installed."""
    references = {part["name"]: part["bom-ref"] for part in parts}
    found = []
    for name, reference in [("headtohead", _root()["bom-ref"]), *references.items()]:
        required = metadata.requires(name) or []
        names = {_normalized(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in required}
        needed = sorted(references[one] for one in names & references.keys())
        found.append({"ref": reference, "dependsOn": needed})
    return found


def _root() -> dict[str, Any]:
    version = metadata.version("headtohead")
    return {
        "type": "application",
        "bom-ref": f"pkg:pypi/headtohead@{version}",
        "name": "headtohead",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def bill() -> dict[str, Any]:
    """The whole document."""
    parts = components()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _root()},
        "components": parts,
        "dependencies": dependencies(parts),
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(bill(), indent=1) + "\n", encoding="utf-8")
    print(out)
