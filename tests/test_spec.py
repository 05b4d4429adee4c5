"""The study as data: what it accepts, how it refuses the rest, and what its digests cover."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headtohead.errors import UsageError
from headtohead.spec import (
    HeadSpec,
    StudySpec,
    load_study,
    parse_study,
    resolve_study,
    shipped_studies,
)

# PyYAML reads Unicode's own line ends back as spaces.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,8}", fullmatch=True)
SHARES = st.floats(0, 0.99)
AUGMENTS = st.fixed_dictionaries(
    {}, optional={"flip": st.booleans(), "crop": SHARES, "color": SHARES}
)
RECIPES = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 100),
        "batch_size": st.integers(1, 512),
        "learning_rate": st.floats(1e-8, 1),
        "weight_decay": st.floats(0, 1),
        "augment": AUGMENTS,
    },
)
CANDIDATES = st.fixed_dictionaries(
    {},
    optional={
        "head": st.sampled_from([None, "fc", "my.module:Mine"]),
        "options": st.dictionaries(NAMES, JSON, max_size=2),
        "recipe": RECIPES,
    },
)
STUDIES = st.fixed_dictionaries(
    {"heads": st.dictionaries(NAMES, CANDIDATES, min_size=1, max_size=3)},
    optional={
        "name": NAMES,
        "description": TEXT,
        "data": st.sampled_from(["synthetic", "cats_vs_dogs", "folder/mit Ümlaut", "a: b #c"]),
        "pictures": st.fixed_dictionaries({}, optional={"limit": st.none() | st.integers(1, 99)}),
        "split": st.sampled_from(
            [{"mode": "per-seed"}, {"train": 0.5, "validation": 0.25, "test": 0.25, "seed": -3}]
        ),
        "backbone": st.fixed_dictionaries({"options": st.dictionaries(NAMES, JSON, max_size=2)}),
        "seeds": st.integers(1, 10_000),
        "recipe": RECIPES,
        "verdict": st.fixed_dictionaries({}, optional={"margin": st.floats(0.001, 0.9)}),
    },
)


@given(content=STUDIES)
@settings(max_examples=60)
def test_a_study_survives_being_written_and_read(content: dict[str, Any]) -> None:
    """Else the study.yaml in a ledger is another study than the one that ran."""
    study = StudySpec.model_validate(content)
    text = yaml.safe_dump(study.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
    again = parse_study(text, "study.yaml")
    assert again == study
    assert list(again.heads) == list(study.heads)
    assert again.digest("0") == study.digest("0")
    for head in study.heads:
        assert again.run_key("0", head, 3) == study.run_key("0", head, 3)


def changed(**content: Any) -> StudySpec:
    return StudySpec.model_validate(content)


@pytest.mark.parametrize(
    "content",
    [
        {"split": {"mode": "per-seed"}},
        {"split": {"seed": 1}},
        {"split": {"train": 0.7, "validation": 0.2}},
        {"backbone": {"options": {"widths": [8]}}},
        {"recipe": {"epochs": 11}},
        {"recipe": {"batch_size": 32}},
        {"recipe": {"learning_rate": 1e-4}},
        {"recipe": {"weight_decay": 0.1}},
        {"recipe": {"augment": {"flip": True}}},
        {"recipe": {"augment": {"crop": 0.1}}},
        {"recipe": {"augment": {"color": 0.1}}},
    ],
    ids=str,
)
def test_what_changes_a_run_changes_the_digest(content: dict[str, Any]) -> None:
    """Else finished runs are taken for those of another study, and never trained anew."""
    assert changed(**content).digest("0") != StudySpec().digest("0")


def test_other_pictures_change_the_digest() -> None:
    """Else runs on other pictures are taken for finished."""
    assert StudySpec().digest("0") != StudySpec().digest("1")


@pytest.mark.parametrize(
    "content",
    [
        {"name": "other"},
        {"description": "why"},
        {"data": "the/same/pictures/elsewhere"},
        {"heads": "gap"},
        {"heads": {"fc": {"recipe": {"epochs": 3}}}},
        {"seeds": 100},
        {"verdict": {"reference": "gap", "margin": 0.05, "level": 0.1}},
        {"recipe": {"epochs": 10, "augment": {}}},
        {"pictures": {"max_unreadable": 0.5}},
    ],
    ids=str,
)
def test_what_changes_no_run_leaves_the_digest(content: dict[str, Any]) -> None:
    """Else adding a seed or a head, or renaming a study, throws away every finished run."""
    assert changed(**content).digest("0") == StudySpec().digest("0")


def key(heads: Any, head: str = "fc", seed: int = 0, **content: Any) -> str:
    return changed(heads=heads, **content).run_key("0", head, seed)


def test_a_runs_key_covers_what_trains_it() -> None:
    """Else a head with new options, or another seed, is taken for finished."""
    plain = key("fc")
    others = [
        key("fc", seed=1),
        key({"fc": {"head": "gap"}}),
        key({"fc": {"options": {"dropout": 0.1}}}),
        key({"fc": {"options": {"dropout": 0.2}}}),
        key({"fc": {"recipe": {"epochs": 3}}}),
        key({"fc": {"recipe": {"augment": {"flip": True}}}}),
        key({"other": {"head": "fc"}}, head="other"),
        changed(heads="fc").run_key("1", "fc", 0),
    ]
    assert len({plain, *others}) == 1 + len(others)


def test_a_runs_key_covers_nothing_else() -> None:
    """Else another candidate, or a default spelled out, trains finished runs again."""
    plain = key("fc")
    assert plain == key("gap,fc,avgpool2x2")
    assert plain == key({"fc": {"head": "fc", "options": {}}})
    assert plain == key({"fc": {"recipe": {"epochs": 10, "learning_rate": 0.001}}})
    assert plain == key("fc", name="other", seeds=50, verdict={"margin": 0.2})


def test_a_head_may_have_a_recipe_of_its_own() -> None:
    """Else "further tuning" cannot be part of the question."""
    study = changed(
        recipe={"epochs": 4, "augment": {"crop": 0.2}},
        heads={"gap": None, "fc": {"recipe": {"learning_rate": 0.1, "augment": {"flip": True}}}},
    )
    assert study.recipe_for("gap") == study.recipe
    own = study.recipe_for("fc")
    assert (own.epochs, own.learning_rate) == (4, 0.1)
    assert (own.augment.flip, own.augment.crop) == (True, 0.2)


def test_heads_may_be_given_in_every_natural_way() -> None:
    """Else `--heads fc, gap`, a list and a mapping mean different things."""
    expected = {"fc": HeadSpec(), "gap": HeadSpec()}
    for heads in ("fc,gap", " fc , gap ,", ["fc", "gap"], ("fc", "gap"), {"fc": None, "gap": {}}):
        assert changed(heads=heads).heads == expected
    own = changed(heads=["gap", "my.heads:Mine"]).heads
    assert own["my.heads.Mine"] == HeadSpec(head="my.heads:Mine")


def test_options_given_in_python_are_those_read_from_yaml() -> None:
    """Else a tuple in a notebook and a list in a file are two studies."""
    assert HeadSpec(options={"hidden": (10, 5)}) == HeadSpec(options={"hidden": [10, 5]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds: 0", "seeds: .*greater than or equal to 1; received 0"),
        ("seeds: many", "seeds: .*valid integer.*received 'many'"),
        ("seeds: 2.5", "seeds: .*received 2.5"),
        ("sedes: 3", "sedes: Extra inputs are not permitted; received 3"),
        ("recipe: {epoch: 3}", "recipe.epoch: Extra inputs"),
        ("recipe: {epochs: 0}", "recipe.epochs: .*received 0"),
        ("recipe: {learning_rate: .nan}", "recipe.learning_rate: .*finite.*received nan"),
        ("recipe: 3", "recipe: .*received 3"),
        ("heads: fc,gap,fc", "heads: fc named more than once"),
        ("heads: [gap, gap]", "heads: gap named more than once"),
        ("heads: ''", "heads: .*at least 1 item"),
        ("heads: 3", "heads: .*received 3"),
        ("heads: {'../up': {}}", r"heads\.\.\./up.*received '\.\./up'"),
        ("heads: {fc: {recipe: {epochs: 0}}}", "heads.fc.recipe: epochs: .*received 0"),
        ("heads: {fc: {recipe: {speed: 1}}}", "heads.fc.recipe: speed: Extra"),
        ("heads: {fc: {options: {since: 2020-01-01}}}", r"options.since: .*received datetime"),
        ("heads: {fc: {options: {dropout: .inf}}}", "options.dropout.*finite.*received inf"),
        ("heads: {fc: {options: {1: 2}}}", r"options.1.*string.*received 1"),
        ("verdict: {reference: gpa}", "verdict.reference 'gpa' is none of the heads fc, fc_dr"),
        ("verdict: {margin: 0}", "verdict.margin: .*received 0"),
        ("split: {train: 0.9}", r"split: train, validation and test must add up to 1; .* 1\.1"),
        ("split: {mode: random}", "split.mode: .*'fixed' or 'per-seed'; received 'random'"),
        ("pictures: {image_size: 4}", "image_size: .*received 4"),
        ("data: ' '", "data: is empty: name a folder, an archive"),
        ("name: a/b", "name: .*received 'a/b'"),
        ("- fc", r"must be a mapping of fields; received \['fc'\]"),
        ("[]", r"must be a mapping of fields; received \[\]"),
        ("seeds: [1", "not valid YAML"),
        ("seeds: \x00", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_mistakes_are_named_in_one_line(text: str, words: str) -> None:
    """Else a slip in a study file ends in a traceback, or in silence: a field that is ignored."""
    with pytest.raises(UsageError, match=words) as caught:
        parse_study(text, "my.yaml")
    assert str(caught.value).startswith("my.yaml")
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_the_default_study() -> None:
    """Else a file of comments alone is an error."""
    assert parse_study("# nothing yet\n", "my.yaml") == StudySpec()


def test_overrides_reach_into_nested_fields_and_leave_the_rest() -> None:
    """Else `--epochs 3` on a tuned study silently undoes its tuning."""
    text = "recipe: {epochs: 9, learning_rate: 0.01, augment: {flip: true}}\nseeds: 5"
    study = parse_study(text, "my.yaml", {"recipe": {"epochs": 3, "augment": {"crop": 0.1}}})
    assert (study.recipe.epochs, study.recipe.learning_rate, study.seeds) == (3, 0.01, 5)
    assert (study.recipe.augment.flip, study.recipe.augment.crop) == (True, 0.1)


# From a file and the command's options ----------------------------------------------------------


TUNED = """
heads:
  fc: {options: {dropout: 0.3}, recipe: {epochs: 2}}
  gap:
recipe: {epochs: 9, learning_rate: 0.01}
verdict: {reference: gap}
"""


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    path = tmp_path / "tuned.yaml"
    path.write_text(TUNED, encoding="utf-8")
    return path


def test_options_that_were_not_given_change_nothing(tuned: Path) -> None:
    """Else a flag's absence resets what the file says."""
    assert resolve_study(tuned) == load_study(tuned)
    nothing = resolve_study(tuned, seeds=None, recipe={"epochs": None}, pictures={"limit": None})
    assert nothing == load_study(tuned)
    assert resolve_study(tuned, recipe={"epochs": 1}).recipe.learning_rate == 0.01


def test_chosen_heads_replace_the_files_and_keep_its_settings(tuned: Path) -> None:
    """Else `--heads` trains heads that nobody asked for, or drops their tuning."""
    study = resolve_study(tuned, heads="fc,avgpool2x2")
    assert list(study.heads) == ["fc", "avgpool2x2"]
    assert study.heads["fc"] == load_study(tuned).heads["fc"]
    assert study.verdict.reference is None, "the file's reference is not among the chosen"
    assert resolve_study(tuned, heads=["gap"]).verdict.reference == "gap"


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ("", "--heads is empty"),
        (",", "--heads.*at least 1"),
        ("gap,gap", "gap named more than once"),
    ],
)
def test_chosen_heads_that_cannot_be_are_named(tuned: Path, heads: str, words: str) -> None:
    """Else a slip on the command line ends in a traceback."""
    with pytest.raises(UsageError, match=words):
        resolve_study(tuned, heads=heads)


def test_options_out_of_range_are_named(tuned: Path) -> None:
    """Else `--seeds 0` ends in a traceback, or in a study of nothing."""
    with pytest.raises(UsageError, match=r"seeds: .*received 0"):
        resolve_study(tuned, seeds=0)


def test_studies_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Else a wrong path, a folder or a picture in a study's place ends in a traceback."""
    picture = tmp_path / "cat.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    for study, words in [
        ("qiuck", "no study 'qiuck'.*neither a file nor one of the shipped studies"),
        (tmp_path / "none.yaml", "no study"),
        (tmp_path, "cannot read the study"),
        (picture, "is no study"),
        ("x" * 5000, "cannot read the study"),
    ]:
        with pytest.raises(UsageError, match=words):
            load_study(study)


def test_every_shipped_study_parses_and_says_what_to_expect() -> None:
    """Else a name that `headtohead studies` lists cannot be run."""
    for name in shipped_studies():
        study = load_study(name)
        assert study.name == name
        assert study.description.strip()
