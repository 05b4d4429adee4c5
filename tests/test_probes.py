"""A probe of the user's own: one class in one file, named in a study, and everything follows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headtohead.compare import compare
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.probes.base import Context, Need, read_run, read_session
from headtohead.probes.stage import lost, to_collect
from headtohead.probes.table import PROBES, probes_of
from headtohead.store.evidence import Arrays, evidence_path
from headtohead.store.ledger import Ledger
from photographs import write_pictures


class Darkened:
    """How often a model keeps its answer when the images are half as bright."""

    name = "darkened"
    needs: frozenset[Need] = frozenset({"best", "images"})

    def collect(self, context: Context) -> Arrays:
        from headtohead.training.evaluate import infer
        from headtohead.training.inputs import Pictures

        shown, model = context.shown, context.best.model
        every = np.arange(len(shown.rows))
        answers = []
        for pixels in (shown.pixels, shown.pixels // 2):
            logits, _ = infer(model, Pictures(pixels, shown.labels, context.device), every)
            answers.append(logits[:, 0].cpu().numpy() > 0)
        return {"kept": answers[0] == answers[1], "epoch": np.array(context.best.epoch)}

    def describe(self, arrays: Arrays) -> float:
        return float(arrays["kept"].mean())


class Sizes:
    """The number of parameters of every head, counted in one session."""

    name = "sizes"
    needs: frozenset[Need] = frozenset({"heads"})

    def collect(self, context: Context) -> Arrays:
        return {plan.head: np.array(plan.build().parameters_count().head) for plan in context.plans}

    def describe(self, arrays: Arrays) -> dict[str, int]:
        return {head: int(count) for head, count in arrays.items()}


class Nameless:
    needs: frozenset[Need] = frozenset()


class Taken(Sizes):
    name = "speed"


class Escaping(Sizes):
    name = "../elsewhere"


class Greedy(Sizes):
    needs = frozenset({"gradients"})  # type: ignore[arg-type]


def study(**fields: Any) -> StudySpec:
    return StudySpec.model_validate(fields)


@pytest.mark.xdist_group("compare")
def test_a_probe_of_ones_own_is_collected_and_read_back(tmp_path: Path) -> None:
    """Else a user who wants to measure something must change the package."""
    write_pictures(tmp_path / "source", {"cat": 60, "dog": 60})
    text = (
        "name: small\nheads: [gap]\nseeds: 1\npictures: {image_size: 36}\n"
        "recipe: {epochs: 1, batch_size: 16}\n"
    )
    file = tmp_path / "study.yaml"
    file.write_text(text)
    settings: dict[str, Any] = {
        "data": tmp_path / "source",
        "out": tmp_path / "out",
        "cache": tmp_path / "cache",
        "workers": 1,
    }
    compare(file, **settings)
    weights = tmp_path / "out/runs/gap/seed-0/best.safetensors"
    trained = weights.stat().st_mtime_ns

    file.write_text(text + "probes: ['test_probes:Darkened', 'test_probes:Sizes']\n")
    assert compare(file, **settings).failures == ()  # added later: the run is not trained again
    assert weights.stat().st_mtime_ns == trained
    ledger = Ledger.open(tmp_path / "out")
    kept = read_run(ledger, Darkened(), "gap", 0)
    assert kept is not None
    assert 0 <= kept <= 1
    assert read_session(ledger, Sizes()) == {"gap": 65}
    assert to_collect(ledger, "gap", 0) == ()

    evidence_path(ledger.out, "darkened", "gap", 0).unlink()
    assert to_collect(ledger, "gap", 0) == ("darkened",)
    weights.unlink()
    assert to_collect(ledger, "gap", 0) == ()
    assert lost(ledger, "gap", 0) == ("darkened",)


def test_the_shipped_probes_have_names_of_their_own() -> None:
    """Else one probe's evidence overwrites another's."""
    names = [probe.name for probe in PROBES]
    assert names == ["predictions", "costs", "class_maps", "translation", "speed"]
    assert [probe.name for probe in probes_of(study(probes=["test_probes:Sizes"]))] == [
        *names,
        "sizes",
    ]


def test_probes_change_no_run() -> None:
    """Else adding a probe trains the whole study again."""
    plain, probed = study(), study(probes=["test_probes:Sizes"])
    assert plain.digest("p") == probed.digest("p")
    assert plain.run_key("d", "gap", 0) == probed.run_key("d", "gap", 0)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("no_such_module:Probe", "no_such_module"),
        ("test_probes:Missing", "Missing"),
        ("test_probes:Nameless", "name, collect, describe"),
        ("test_probes:Taken", "'speed' is taken"),
        ("test_probes:Escaping", "../elsewhere"),
        ("test_probes:Greedy", "'gradients'"),
    ],
)
def test_a_probe_that_cannot_work_is_told_before_the_work(entry: str, told: str) -> None:
    """Else a study trains for hours and then ends in a traceback."""
    with pytest.raises(UsageError, match=told):
        probes_of(study(probes=[entry]))


def test_only_a_module_and_a_class_name_a_probe() -> None:
    """Else a typing error is taken for a module."""
    for entry in ("sizes", "a:b:c", "../x:Probe", ":Probe", "a:"):
        with pytest.raises(ValueError, match="probes"):
            study(probes=[entry])
