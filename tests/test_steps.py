"""Steps are counted and warned of before hours are spent."""

import re

import pytest

from headtohead.config.from_options import study_from
from headtohead.config.steps import FEWEST, SMALLEST_BATCH, step_lines, steps_of
from headtohead.config.study import StudySpec
from stated import stated


def study(**recipe: object) -> StudySpec:
    return StudySpec.model_validate({"recipe": recipe, "heads": ["fc", "gap"]})


def test_steps_are_full_batches_times_epochs() -> None:
    """As many as training takes: 480 images in batches of 64 are 7 steps, not 8."""
    (found,) = steps_of(study(epochs=10, batch_size=64), 480)
    assert (found.per_epoch, found.per_run, found.batch) == (7, 70, 64)
    (tiny,) = steps_of(study(epochs=10, batch_size=64), 30)
    assert (tiny.per_epoch, tiny.batch) == (1, 30)


def test_one_step_is_not_steps() -> None:
    """Else a warning that is to be read looks as if nobody had read it."""
    assert "1 steps" not in " ".join(step_lines(study(epochs=1, batch_size=64), 30))


@pytest.mark.parametrize("images", [12, 30, 100, 200, 480, 1200, 2000])
@pytest.mark.parametrize("epochs", [1, 4, 10])
def test_advice_gives_enough_steps(images: int, epochs: int) -> None:
    """Numbers that are followed must help: no second warning after them."""
    spec = study(epochs=epochs, batch_size=64)
    if steps_of(spec, images)[0].per_run >= FEWEST:
        assert len(list(step_lines(spec, images))) == 1
        return
    advice = list(step_lines(spec, images))[1].partition("Set ")[2]
    for way in advice.rstrip(".").split(" or "):
        given = {
            name.replace("-", "_"): int(n) for name, n in re.findall(r"--([a-z-]+) (\d+)", way)
        }
        better = study_from(None, data="x", heads="fc,gap", **{"epochs": epochs, **given})
        assert steps_of(better, images)[0].per_run >= FEWEST
        assert given.get("batch_size", SMALLEST_BATCH) >= SMALLEST_BATCH


def test_heads_with_recipes_of_their_own_are_told_apart() -> None:
    """A flag does not reach a head's own recipe: the advice names its place."""
    spec = StudySpec.model_validate(
        {"heads": {"fc": {"recipe": {"epochs": 2}}, "gap": {}}, "recipe": {"epochs": 40}}
    )
    lines = list(step_lines(spec, 640))
    assert [line.partition(":")[0] for line in lines] == ["Steps of fc", "Warning", "Steps of gap"]
    assert stated(lines[1], "epochs: 30", "recipe of fc")[-2:] == ["epochs: 30", "recipe of fc"]


def test_a_fixed_number_of_steps_is_not_helped_by_batches() -> None:
    """`steps_per_epoch` counts batches whatever their size."""
    lines = list(step_lines(study(epochs=2, steps_per_epoch=20), 640))
    assert "--epochs 15" in lines[1]
    assert "batch" not in lines[1]


@pytest.mark.parametrize(
    ("backbone", "who"),
    [
        ({}, "a network trained from random weights"),
        ({"train": "none"}, "a head on a frozen backbone"),
        ({"weights": "x.pth", "weights_match": "order", "train": "last:1"}, "a new head"),
    ],
)
def test_the_warning_is_about_what_is_trained(backbone: dict[str, str], who: str) -> None:
    """Else the user of a frozen backbone is told of a network that is not trained at all."""
    spec = StudySpec.model_validate({"backbone": backbone, "heads": ["fc", "gap"]})
    assert who in list(step_lines(spec, 64))[1]
