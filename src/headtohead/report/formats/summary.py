"""`summary.json`: the whole summary and the claims, for machines."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from headtohead.claims.base import JudgedClaim
from headtohead.report.page.answer import answer
from headtohead.report.summary import Summary

FORMAT = 1


def summary_json(summary: Summary, claims: Sequence[JudgedClaim] = ()) -> bytes:
    """The whole summary and its claims as strict JSON (what is no number is null), UTF-8.

    First what a reader must know first: the page's headline.
    """
    headline = answer(summary)
    first = {
        "headline": headline.sentence,
        "headline_more": headline.more,
        "certainty": headline.certainty,
        "at_majority": summary.at_majority,
        "nothing_learned": summary.nothing_learned,
    }
    content = {**first, **vars(summary), "claims": claims}
    return f"{as_json_text(content)}\n".encode()


def as_json_text(value: Any) -> str:
    """A frozen result as strict JSON with its format version."""
    content = {"format": FORMAT, **_plain(value)}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Dataclasses, models and mappings as JSON's own types."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json"))
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
