"""The study as data: what it accepts, how it refuses the rest, and what its digests cover."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headtohead.config.recipe import RecipeSpec
from headtohead.config.strict_yaml import write_yaml
from headtohead.config.study import BackboneSpec, HeadSpec, StudySpec
from headtohead.config.study_files import parse_study
from headtohead.store.ledger import Ledger

LEDGERS = Path(__file__).parents[1] / "docs" / "ledgers"

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
def test_a_study_survives_being_written_and_read(content: dict[str, Any]) -> None:
    """Else the study.yaml in a ledger is another study than the one that ran."""
    study = StudySpec.model_validate(content)
    text = write_yaml(study.model_dump(mode="json"))
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
        {"recipe": {"steps_per_epoch": 5}},
        {"recipe": {"shuffle_buffer": 5}},
        {"recipe": {"validation_pictures": 5}},
        {"recipe": {"precision": "bf16"}},
        {"split": {"duplicates": "exact"}},
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
    """Else runs on other images are taken for finished."""
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
        {"recipe": {"precision": "float32"}},
        {"split": {"duplicates": "near"}},
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
    heads: object
    for heads in ("fc,gap", " fc , gap ,", ["fc", "gap"], ("fc", "gap"), {"fc": None, "gap": {}}):
        assert changed(heads=heads).heads == expected
    own = changed(heads=["gap", "my.heads:Mine"]).heads
    assert own["my.heads.Mine"] == HeadSpec(head="my.heads:Mine")


def test_options_given_in_python_are_those_read_from_yaml() -> None:
    """Else a tuple in a notebook and a list in a file are two studies."""
    given = HeadSpec.model_validate({"options": {"hidden": (10, 5)}})
    assert given == HeadSpec(options={"hidden": [10, 5]})


@pytest.mark.parametrize(
    ("heads", "against"),
    [
        ("fc,fc_dropout,gap", "fc_dropout"),
        ("gap,avgpool2x2,fc", "fc"),
        ("avgpool2x2,gap", "avgpool2x2"),
        ("fc_dropout,fc", "fc"),
        ("gap", None),
    ],
)
def test_claims_are_made_against_a_head_that_no_result_chose(
    heads: str, against: str | None
) -> None:
    """Else the five claims are made against whichever head lost."""
    assert changed(heads=heads).claims_against == against


def test_a_study_may_name_the_head_of_its_claims() -> None:
    """Else the opponent cannot be chosen, or a head is compared with itself."""
    study = changed(heads="fc,fc_dropout,gap", verdict={"claims_against": "fc"})
    assert study.claims_against == "fc"
    for wrong, words in (("gap", "the reference itself"), ("fcc", "an unknown head")):
        with pytest.raises(ValueError, match=words):
            changed(heads="fc,gap", verdict={"claims_against": wrong})


def test_looks_are_declared_as_they_can_be_taken() -> None:
    """A design with looks out of order, or against the reference itself, is no design."""
    verdict = changed(heads="fc,gap", verdict={"until_decided": "fc", "looks": [6, 9]}).verdict
    assert (verdict.until_decided, verdict.looks) == ("fc", (6, 9))
    for wrong, words in (
        ({"looks": [9, 6]}, "must ascend"),
        ({"looks": [6, 6]}, "must ascend"),
        ({"looks": [1]}, "looks"),
        ({"looks": []}, "looks"),
        ({"spending": "all at once"}, "spending"),
        ({"until_decided": "fcc"}, "an unknown head"),
        ({"until_decided": "gap"}, "the reference itself"),
    ):
        with pytest.raises(ValueError, match=words):
            changed(heads="fc,gap", verdict=wrong)


def test_a_verdict_names_heads_of_ones_own_as_the_study_does() -> None:
    """Else `module:Class`, copied from `heads`, is said to be none of the heads."""
    verdict = changed(
        heads=["gap", "my.heads:Mine", "gem(p=4)"],
        verdict={"reference": "my.heads:Mine", "until_decided": "gem(p=4)"},
    ).verdict
    assert (verdict.reference, verdict.until_decided) == ("my.heads.Mine", "gem-p4")


def test_the_reference_is_named_or_gap_or_the_first_head() -> None:
    """A reference that results could choose would choose the verdict."""
    found = [
        changed(heads="fc,gap", verdict={"reference": "fc"}),
        changed(heads="fc,gap"),
        changed(heads="fc,avgpool2x2"),
    ]
    assert [study.reference for study in found] == ["fc", "gap", "fc"]


def test_a_head_starts_after_one_that_is_there() -> None:
    with pytest.raises(ValidationError, match=r"'fcc' .* fc, gap"):
        StudySpec.model_validate({"heads": {"fc": {}, "gap": {"after": "fcc"}}})
    with pytest.raises(ValidationError, match="fc after gap"):
        StudySpec.model_validate({"heads": {"fc": {"after": "gap"}, "gap": {"after": "fc"}}})


def test_a_run_that_starts_after_another_is_another_run() -> None:
    """Else a head start is taken for the head's own merit."""

    def key(**fc: object) -> str:
        heads = {"fc": fc, "gap": {"after": "fc"}}
        return StudySpec.model_validate({"heads": heads}).run_key("d", "gap", 0)

    alone = StudySpec.model_validate({"heads": {"fc": {}, "gap": {}}}).run_key("d", "gap", 0)
    assert len({alone, key(), key(recipe={"epochs": 3})}) == 3


def test_the_backbones_old_name_is_the_same_study() -> None:
    """Else studies of version 0.1 are trained again under the network's new name."""
    old = changed(backbone={"name": "article"})
    assert old == changed(backbone={"name": "tutorial_cnn"}) == StudySpec()
    assert old.backbone.identity() == {"name": "article", "options": {}}
    assert old.digest("0") != changed(backbone={"name": "timm:resnet18"}).digest("0")


@pytest.mark.parametrize("ledger", sorted(LEDGERS.iterdir()), ids=str)
def test_studies_of_earlier_versions_keep_their_digest(ledger: Path) -> None:
    """Else a finished study cannot be gone on with, and is trained again."""
    file = Ledger.open(ledger).file
    assert file.study.digest(file.prepared) == file.digest


def test_a_small_folder_gets_the_epochs_that_its_steps_ask_for() -> None:
    """Else a few hundred images end in a few dozen steps, and no head has learned anything."""
    study = parse_study("recipe: {epochs: 10, batch_size: 32, min_steps: 600}", "a test")
    small, large = study.for_images(160), study.for_images(20_000)
    assert (small.recipe.epochs, small.recipe.min_steps) == (120, None)
    assert (large.recipe.epochs, large.recipe.min_steps) == (10, None)
    assert small.for_images(160) == small


# Of `StudySpec().digest("p")` in version 0.1.
OLD_DEFAULT_DIGEST = "0ca4b0f3efffb0eaff120319555fd894a495e2af99be139733b3d8eba97a77fa"


def test_moving_averages_are_the_studies_that_were_before() -> None:
    """Else runs that were trained before cannot be added to: their keys would be others."""
    moving = parse_study("recipe: {batch_norm: moving}", "a test")
    recomputed = parse_study("{}", "a test")
    assert "batch_norm" not in moving.recipe.identity()
    assert moving.digest("p") == OLD_DEFAULT_DIGEST
    assert recomputed.digest("p") != moving.digest("p")
    same = parse_study("recipe: {schedule: constant, batch_norm: moving}", "a test")
    assert same.digest("p") == moving.digest("p")


SHA = "ab" * 32


def test_a_study_without_weights_is_written_as_before() -> None:
    """Else a version that knows nothing of weights cannot read a study that has none."""
    assert StudySpec().backbone.model_dump() == {"name": "tutorial_cnn", "options": {}}
    assert changed(backbone={"weights": "random"}) == StudySpec()
    full = {"name": "timm:x", "weights": "w.pth", "train": "last:2", "weights_sha256": SHA}
    spec = BackboneSpec.model_validate(full)
    assert BackboneSpec.model_validate(spec.model_dump()) == spec


def test_weights_enter_the_digest_by_their_content() -> None:
    """Else other weights are taken for the same study, or a moved file for another."""

    def digest(**fields: Any) -> str:
        return changed(backbone={"name": "timm:x", **fields}).digest("0")

    one = digest(weights="w.pth", weights_sha256=SHA)
    assert one == digest(weights="elsewhere/w.pth", weights_sha256=SHA)
    assert one == digest(weights="w.pth", weights_sha256=SHA, train="none")
    others = [
        digest(),
        digest(weights="w.pth", weights_sha256="cd" * 32),
        digest(weights="w.pth", weights_sha256=SHA, train="all"),
        digest(weights="w.pth", weights_sha256=SHA, train="last:1"),
        digest(weights="w.pth", weights_sha256=SHA, weights_match="order"),
        digest(architecture_sha256=SHA),
    ]
    assert len({one, *others}) == 1 + len(others)
    with pytest.raises(ValueError, match=r"w\.pth"):
        digest(weights="w.pth")


@pytest.mark.parametrize(
    ("fields", "training", "stages"),
    [
        ({}, "all", None),
        ({"weights": "pretrained"}, "none", 0),
        ({"weights": "w.pth", "train": "all"}, "all", None),
        ({"train": "last:3"}, "last:3", 3),
    ],
)
def test_what_is_trained_follows_from_the_weights(
    fields: dict[str, Any], training: str, stages: int | None
) -> None:
    """Else a random backbone is frozen, or a pretrained one is trained unasked."""
    spec = BackboneSpec.model_validate(fields)
    assert (spec.training, spec.stages) == (training, stages)


@pytest.mark.parametrize("wrong", ["some", "last", "last:0", "last:-1", "last:x"])
def test_a_slip_in_what_is_trained_is_told(wrong: str) -> None:
    with pytest.raises(ValidationError, match="train"):
        BackboneSpec(train=wrong)


def test_off_is_a_word_in_yaml() -> None:
    """What the error advises, typed as it stands there, would be refused."""
    for value in ("off", "exact", "near"):
        study = parse_study(f"split: {{duplicates: {value}}}", "study")
        assert study.split.duplicates == value
        assert StudySpec.model_validate(study.model_dump()) == study


LATER = (
    {"optimizer": "adam", "weight_decay_on": "all", "checkpointing": False},
    {"momentum": None, "clip_norm": None, "backbone_learning_rate": None},
)


@pytest.mark.parametrize("recipe", LATER)
def test_later_recipe_fields_at_their_defaults_change_no_digest(recipe: dict[str, Any]) -> None:
    """Else every ledger of before is another study."""
    assert RecipeSpec.model_validate(recipe).identity() == RecipeSpec().identity()


def test_features_and_norm_are_in_the_digest_where_they_are_not_default() -> None:
    """Else two studies of different numbers share a folder."""
    usual = BackboneSpec(train="none")
    others = [
        usual.model_copy(update={"norm": True}),
        usual.model_copy(update={"features": "float32"}),
    ]
    assert "norm" not in usual.identity()
    assert "features" not in usual.identity()
    assert len({str(spec.identity()) for spec in (usual, *others)}) == 3
    assert all(spec.trunk() == BackboneSpec().trunk() for spec in others)
    with_token = usual.model_copy(update={"class_token": True})
    assert with_token.trunk() != usual.trunk(), "features of other numbers"
    assert "class_token" not in usual.model_dump()
    with pytest.raises(ValidationError, match="frozen"):
        BackboneSpec(features="float32")


def test_a_frozen_backbone_refuses_augmentation_that_needs_pixels() -> None:
    """Else the augmentation is passed over in silence."""
    backbone = {"train": "none"}
    flip = StudySpec.model_validate({"backbone": backbone, "recipe": {"augment": {"flip": True}}})
    assert (flip.views, StudySpec().views) == (2, 1)
    with pytest.raises(ValidationError, match=r"received crop=0\.1, color=0"):
        StudySpec.model_validate({"backbone": backbone, "recipe": {"augment": {"crop": 0.1}}})


def test_texts_that_look_like_numbers_stay_texts() -> None:
    """Else an option named `0E0`, or `0o7`, is another one when its study is read again."""
    study = StudySpec.model_validate({"heads": {"gap": {"options": {"0E0": "0o7", "1e3": "010"}}}})
    assert parse_study(write_yaml(study.model_dump(mode="json")), "a test") == study
