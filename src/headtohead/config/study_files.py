"""Studies by name or from YAML files, with what the user gave on top."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headtohead.config.strict_yaml import read_yaml
from headtohead.config.study import StudySpec, merge, problems
from headtohead.core.errors import UsageError, brief, likeliest
from headtohead.core.files import expanded, unreadable

NAME_LENGTH = 64

DEFAULT_SEARCH = "article-tuned"
"""The shipped study that says what is searched where a study does not."""


def shipped_studies() -> dict[str, str]:
    """Names of the studies that come with headtohead, and their YAML."""
    folder = resources.files("headtohead") / "studies"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(files, key=lambda entry: entry.name)
    }


_SPACES = " A path with spaces takes quotes, a list of heads commas: --heads gap,gem."
"""Why a word that was meant for an option can stand in a study's place."""


def load_study(study: str | Path) -> StudySpec:
    """A shipped study by name, or a YAML file.

    Raises UsageError for an unknown name, YAML that does not parse, and values that no study
    can have; the message names each field and what was received.
    """
    shipped = shipped_studies()
    if str(study) in shipped:
        text, where = shipped[str(study)], f"study {study}"
    else:
        text, where = _read_study(expanded(study), shipped), str(study)
    return parse_study(text, where)


def _read_study(path: Path, shipped: Iterable[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"no study {brief(repr(str(path)))}: it is neither a file nor one of the shipped ones "
            f"({', '.join(shipped)}).{likeliest(str(path), shipped) or _SPACES}"
        ) from None
    except IsADirectoryError:
        raise UsageError(
            f"{brief(repr(str(path)))} is a folder, and a study is a name or a YAML file. Write "
            f"--data before a folder of images, and --out before the folder of a study."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a study file: expected YAML in UTF-8.") from None
    except PermissionError as error:
        raise unreadable(path, error) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"cannot read the study {brief(repr(str(path)))}: {reason}. Name a YAML file or one of "
            f"the shipped ones ({', '.join(shipped)})."
        ) from None


def resolve_study(
    study: str | Path, *, heads: str | Sequence[str] | None = None, **overrides: Any
) -> StudySpec:
    """A study with overrides on top; entries that are None count as not given.

    Heads that the study knows keep the settings it gives them. A file that names its data and not
    itself is named after the data. Raises UsageError.
    """
    base = load_study(study)
    over = _given(overrides)
    content = merge(base.model_dump(), over)
    recipe = over.get("recipe", {})
    if "epochs" in recipe and "min_steps" not in recipe:
        content["recipe"]["min_steps"] = None  # who names the epochs has so many, and no more
    if over.get("verdict", {}).get("until_decided"):
        base = base.model_copy(
            update={"verdict": base.verdict.model_copy(update={"pairs": None})}
        )  # who asks for one sequential comparison has a family of one
        content["verdict"]["pairs"] = over["verdict"].get("pairs")
    named = base.model_fields_set | over.keys()
    if "name" not in named and "data" in named:
        content["name"] = name_after(content["data"])
    if heads is not None:
        content["heads"] = _chosen_heads(base, heads)
        # The study's own heads of verdicts need not be chosen; those that were asked for must be.
        for role in ("reference", "claims_against", "until_decided"):
            asked = role in over.get("verdict", {})
            if content["verdict"][role] not in content["heads"] and not asked:
                content["verdict"][role] = None
        if not over.get("verdict", {}).get("pairs"):
            content["verdict"]["pairs"] = _pairs_among(base, content["heads"])
        if base.tuning is not None:
            options = content["tuning"]["options"]
            chosen = {name: options[name] for name in options if name in content["heads"]}
            content["tuning"]["options"] = chosen
    return _validated(content, f"study {study}")


def _given(overrides: dict[str, Any]) -> dict[str, Any]:
    """Those that are not None, and of a part those entries of it."""
    over: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, dict):
            over[key] = {name: item for name, item in value.items() if item is not None}
        elif value is not None:
            over[key] = value
    return over


def name_after(data: str) -> str:
    """What a study of `data` is called: `flowers`, of `~/photos/flowers/` and of `flowers.tar.gz`.

    Letters lose their accents (`Vögel` is `Vogel`), and what else a study's name may not hold
    becomes a hyphen.
    """
    place = data.partition("#")[0] if ":" in data else data
    last = re.split(r"[/\\:]", place.rstrip("/\\"))[-1]
    if last in ("", ".", ".."):
        last = expanded(data).resolve().name
    last = re.sub(r"(\.tar)?\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz)$", "", last, flags=re.IGNORECASE)
    plain = "".join(c for c in unicodedata.normalize("NFKD", last) if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", plain)[:NAME_LENGTH]
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", name) or "study"


def resolve_tuning(spec: StudySpec, **overrides: int | None) -> StudySpec:
    """The study with a tuning part, and overrides on top of it; None counts as not given.

    Without one of its own it is searched as `article-tuned` is. Raises UsageError.
    """
    if spec.tuning is not None:
        tuning = spec.tuning.model_dump()
    else:
        tuning = load_study(DEFAULT_SEARCH).model_dump()["tuning"]
        options = tuning["options"]
        tuning["options"] = {head: options[head] for head in spec.heads if head in options}
        if spec.backbone.frozen:  # whose features are computed once, of whole images
            tuning["recipe"]["augment"] |= {"crop": None, "color": None}
    tuning |= {name: item for name, item in overrides.items() if item is not None}
    return _validated({**spec.model_dump(), "tuning": tuning}, f"study {spec.name}")


def _chosen_heads(base: StudySpec, heads: str | Sequence[str]) -> dict[str, Any]:
    if not heads:
        raise UsageError("--heads is empty: name at least one head, e.g. fc,gap.")
    chosen = _validated({"heads": heads}, "--heads").heads
    return {name: base.heads.get(name, head).model_dump() for name, head in chosen.items()}


def _pairs_among(base: StudySpec, heads: Collection[str]) -> list[Any] | None:
    """What is left of a study's declared family where only `heads` are compared; None for none."""
    declared = zip(base.verdict.pairs or (), base.family, strict=False)
    return [item for item, pair in declared if set(pair) <= set(heads)] or None


def parse_study(text: str, where: str) -> StudySpec:
    """A study from YAML text; `where` is what error messages call it."""
    content = read_yaml(text, where)
    if not isinstance(content, dict):
        raise UsageError(f"{where} must be a mapping of fields; received {brief(repr(content))}.")
    return _validated(content, where)


def _validated(content: dict[str, Any], where: str) -> StudySpec:
    try:
        return StudySpec.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{where}: {problems(error)}") from error
