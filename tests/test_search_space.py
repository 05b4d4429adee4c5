"""What is searched, as data: a mistake in a study is told before anything is trained."""

import pytest

from headtohead.config.search_space import Range
from headtohead.config.study import StudySpec
from headtohead.config.study_files import (
    DEFAULT_SEARCH,
    load_study,
    parse_study,
    resolve_study,
    resolve_tuning,
)
from headtohead.core.errors import UsageError

RATES = "recipe: {learning_rate: {low: 1e-4, high: 1e-2, log: true}}"


def tuning(text: str) -> StudySpec:
    return parse_study(f"heads: [fc, gap]\ntuning: {{{text}}}", "study.yaml")


def test_a_head_is_searched_over_the_recipe_and_its_own_options() -> None:
    """Else a head has settings tuned that it does not have, or its own are left out."""
    study = tuning(f"{RATES}, options: {{fc: {{hidden: [[50, 50], [100, 100]]}}}}")
    assert study.tuning is not None
    assert list(study.tuning.space("fc")) == ["learning_rate", "option.hidden"]
    assert list(study.tuning.space("gap")) == ["learning_rate"]


def test_values_become_a_heads_options_and_recipe() -> None:
    """Else a trial trains something else than what it is said to."""
    study = parse_study("heads: {fc: {recipe: {epochs: 4, augment: {color: 0.1}}}}", "study.yaml")
    values = {"learning_rate": 0.01, "augment.flip": True, "option.dropout": 0.3}
    head = study.heads["fc"].with_settings(values)
    assert head.options == {"dropout": 0.3}
    assert head.recipe == {
        "epochs": 4,
        "augment": {"color": 0.1, "flip": True},
        "learning_rate": 0.01,
    }


def test_a_tuning_part_survives_its_files_and_changes_no_digest() -> None:
    """Else trials cannot be resumed, or runs of a study are lost by tuning it."""
    study = tuning(f"{RATES}, options: {{fc: {{hidden: [[50, 50], [100, 100]]}}}}")
    assert StudySpec.model_validate_json(study.model_dump_json()) == study
    assert StudySpec.model_validate(study.model_dump()) == study
    bare = study.model_copy(update={"tuning": None})
    assert study.digest("p") == bare.digest("p")
    assert study.run_key("d", "fc", 0) == bare.run_key("d", "fc", 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "searches nothing for the head fc"),
        ("options: {fc: {hidden: [[2, 2]]}}", "searches nothing for the head gap"),
        (f"{RATES}, options: {{fcc: {{}}}}", "'fcc' is an unknown head; choose from fc, gap"),
        (f"{RATES}, trials: 0", "tuning.trials"),
        ("recipe: {learning_rate: {low: 1, high: 1}}", "received 1 to 1"),
        ("recipe: {learning_rate: {low: 0, high: 1, log: true}}", "above 0"),
        ("recipe: {learning_rate: {low: 0, high: 1}}", "greater than 0"),
        ("recipe: {augment: {crop: [0, 2]}}", "augment.crop: Input should be less than 1"),
        ("recipe: {augment: {flop: [true]}}", "tuning.recipe.augment.flop"),
        ("recipe: {weight_decay: [0.1, 0.1]}", "there twice"),
        ("recipe: {weight_decay: []}", "tuning.recipe.weight_decay"),
        ("recipe: {batch_size: {low: 16.0, high: 128}}", "tuning.recipe: batch_size"),
        ("recipe: {augment: {flip: {low: 0.0, high: 1}}}", "tuning.recipe: augment.flip"),
        ("recipe: {augment: {flip: {low: 0, high: 2}}}", "tuning.recipe: augment.flip"),
    ],
    ids=lambda value: value[:24],
)
def test_a_search_that_cannot_be_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refusal:
        tuning(text)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_whole_numbers_are_checked_one_by_one_where_they_are_few() -> None:
    """Else a trial is proposed that cannot be trained, and no later command gets beyond it."""
    assert Range(low=1, high=8).checked() == (1, 2, 3, 4, 5, 6, 7, 8)
    assert Range(low=1, high=1000).checked() == (1, 1000)
    for low, high in ((16.0, 128), (1e-6, 1e-5), (0.0, 1.0)):
        first, between, last = Range(low=low, high=high).checked()
        assert (first, last) == (low, high)
        assert low < between < high
        assert not float(between).is_integer()


def test_a_split_for_each_seed_is_refused() -> None:
    """Else the trials train on images that the comparison tests on."""
    with pytest.raises(UsageError, match=r"split\.mode fixed; received per-seed"):
        parse_study(f"split: {{mode: per-seed}}\ntuning: {{{RATES}}}", "study.yaml")


def test_heads_that_share_a_backbone_are_refused() -> None:
    """Else a trial starts from a backbone that no trial has trained."""
    with pytest.raises(UsageError, match=r"heads\.gap starts after fc"):
        parse_study(f"heads: {{fc: , gap: {{after: fc}}}}\ntuning: {{{RATES}}}", "study.yaml")


def test_a_study_without_a_search_is_searched_as_the_articles_is() -> None:
    """Else `tune --data …` has nothing to do, or tunes heads that are not asked for."""
    study = resolve_tuning(load_study("standard"), trials=3, epochs=None)
    assert study.tuning is not None
    assert study.tuning.trials == 3
    shipped = load_study(DEFAULT_SEARCH).tuning
    assert shipped is not None
    assert study.tuning.epochs == shipped.epochs
    assert study.tuning.recipe == shipped.recipe
    assert set(study.tuning.options) == {"fc", "fc_dropout"}


def test_options_of_heads_that_were_not_chosen_do_not_matter() -> None:
    """Else a shipped search cannot be asked for fewer heads."""
    study = resolve_study(DEFAULT_SEARCH, heads="fc,gap")
    assert study.tuning is not None
    assert set(study.tuning.options) == {"fc"}
