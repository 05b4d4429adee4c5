"""Candidates as they are typed: names, heads and options."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.config.candidates import candidate_name, candidate_text, options_from
from headtohead.config.study import StudySpec
from headtohead.config.study_files import parse_study, resolve_study
from headtohead.core.errors import UsageError


def read(heads: Any) -> dict[str, tuple[str | None, dict[str, Any]]]:
    study = StudySpec.model_validate({"heads": heads})
    return {name: (spec.head, spec.options) for name, spec in study.heads.items()}


def test_options_are_read_by_name() -> None:
    """Else a head can be varied in a file alone."""
    assert read("gap,gem(p=4), fc(hidden=[500, 100],dropout=0.3),lse(r=1e-1, learn=false)") == {
        "gap": (None, {}),
        "gem-p4": ("gem", {"p": 4}),
        "fc-hidden500-100-dropout0.3": ("fc", {"hidden": [500, 100], "dropout": 0.3}),
        "lse-r0.1-learn-false": ("lse", {"r": 0.1, "learn": False}),
    }


def test_a_list_takes_calls_and_mappings() -> None:
    """Else YAML's lists of heads know names alone."""
    given = ["gap", "gem(p=4)", {"head": "gem", "options": {"p": 2}}, "my.module:Mine(width=3)"]
    assert read(given) == {
        "gap": (None, {}),
        "gem-p4": ("gem", {"p": 4}),
        "gem-p2": ("gem", {"p": 2}),
        "my.module.Mine-width3": ("my.module:Mine", {"width": 3}),
    }
    text = "heads: [gap, {head: gem, options: {p: 4}, recipe: {epochs: 3}}]"
    study = parse_study(text, "my.yaml")
    assert study.recipe_for("gem-p4").epochs == 3


def test_old_spellings_keep_their_run_keys() -> None:
    """Else finished runs of old studies are trained again."""
    plain = {"fc": {}, "my.module.Mine": {"head": "my.module:Mine"}}
    old = StudySpec.model_validate({"heads": plain})
    for spelling in ("fc,my.module:Mine", ["fc", "my.module:Mine"], "fc(), my.module:Mine()"):
        new = StudySpec.model_validate({"heads": spelling})
        assert new.heads == old.heads
        for head in plain:
            assert new.run_key("0", head, 1) == old.run_key("0", head, 1)


def test_a_call_and_its_mapping_are_one_run() -> None:
    """Else the command line and the file train the same candidate twice."""
    typed = StudySpec.model_validate({"heads": "gem(p=4)"})
    written = StudySpec.model_validate({"heads": {"gem-p4": {"head": "gem", "options": {"p": 4}}}})
    assert typed.run_key("0", "gem-p4", 2) == written.run_key("0", "gem-p4", 2)
    assert typed.heads == written.heads


def test_a_study_s_own_head_keeps_its_settings_beside_calls() -> None:
    """Else naming a head on the command line silently drops what the study says of it."""
    study = resolve_study("controls", heads="gap,gem(p=4)")
    assert list(study.heads) == ["gap", "gem-p4"]


def test_a_verdict_names_a_candidate_as_it_is_typed() -> None:
    """Else `--until-decided "gem(p=4)"` is none of the heads."""
    study = resolve_study("quick", heads="gap,gem(p=4)", verdict={"until_decided": "gem(p=4)"})
    assert study.verdict.until_decided == "gem-p4"


def test_a_candidate_is_written_as_it_is_typed() -> None:
    """Else the command that a page gives to reproduce a study trains other heads."""
    typed = [
        "gap",
        "gem(p=4)",
        "fc(hidden=[5, 3], dropout=0.5)",
        "lse(learn=False)",
        "m:C(a='b c')",
    ]
    study = StudySpec.model_validate({"heads": typed})
    written = [
        candidate_text(name, head.head or name, head.options) for name, head in study.heads.items()
    ]
    assert written == typed
    assert candidate_text("fc_slow", "fc", {"dropout": 0.5}) == "fc"


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ("gem(p=4", r"do not match; received 'gem\(p=4'"),
        ("gem)p=4(", "do not match"),
        ("gem('p", "do not match"),
        ("gem(4)", r"name\(option=value.*received '\(4\)'"),
        ("gem(**p)", r"name\(option=value"),
        ("gem(p=)", r"name\(option=value"),
        ("gem(p=4)(q=2)", r"name\(option=value"),
        ("(p=4)", r"name\(option=value"),
        ("gem(p=open('x'))", r"name\(option=value"),
        ("gem(p=4),gem(p=4)", "gem-p4 named more than once"),
        ("gem(p=4),gem-p4", "two heads would both be called gem-p4"),
        ([{"options": {"p": 4}}], "a head in a list is a name or a mapping"),
        ([{"head": "gem", "optoins": {"p": 4}}], "optoins"),
    ],
    ids=str,
)
def test_mistakes_are_named(heads: Any, words: str) -> None:
    """Else a slip on the command line ends in a traceback, or runs code."""
    with pytest.raises(UsageError, match=words) as caught:
        resolve_study("quick", heads=heads)
    assert "\n" not in str(caught.value)


def test_long_names_stay_folders_and_differ() -> None:
    """Else two candidates share a folder, or the folder cannot be made."""
    names = {candidate_name("fc", {"hidden": [n] * 40}) for n in (100, 101)}
    assert len(names) == 2
    assert all(len(name) == 64 for name in names)
    study = StudySpec.model_validate({"heads": f"fc(hidden={[100] * 40})"})
    assert len(next(iter(study.heads))) == 64


SIMPLE = (
    st.integers(-(10**6), 10**6)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
)


@given(st.dictionaries(st.sampled_from(["p", "hidden", "learn"]), SIMPLE | st.lists(SIMPLE)))
def test_what_python_writes_is_read_back(options: dict[str, Any]) -> None:
    """Else some values cannot be typed."""
    text = ", ".join(f"{name}={value!r}" for name, value in options.items())
    assert options_from(text) == options
