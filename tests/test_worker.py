"""A worker trains what its ledger says, in the order that its recipe says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import headtohead
from headtohead.config.from_options import study_from
from headtohead.config.images import SplitSpec
from headtohead.core.errors import UsageError
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.split import in_stored_order
from headtohead.runtime.run_job import Workplace
from headtohead.store.ledger import Ledger
from headtohead.store.records import LAST, EpochRecord, read_history
from headtohead.training import checkpoint
from headtohead.training.inputs import Pictures
from headtohead.training.plans import run_plan
from headtohead.training.run import train
from ledgers import study_ledger
from photographs import write_pictures
from test_feature_cache import frozen_spec

pytestmark = pytest.mark.usefixtures("quick_workers", "no_report")

TIMING = {"seconds", "cpu_seconds", "pictures_per_second"}


class Silent:
    """A watcher that looks away."""

    def start(self, epochs: int) -> None: ...
    def step(self, epoch: int, done: int, pictures: int) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...
    def note(self, message: str) -> None: ...


def losses(folder: Path) -> list[float]:
    return [record.loss for record in read_history(folder)]


@pytest.mark.parametrize("buffer", [1, None])
def test_a_shuffle_buffer_moves_over_the_stored_order(tmp_path: Path, buffer: int | None) -> None:
    """Else a study as others did it sees all cats before the first dog."""
    source = write_pictures(tmp_path / "source", {"cat": 60, "dog": 60})
    recipe = "" if buffer is None else f", shuffle_buffer: {buffer}"
    study = tmp_path / "stored.yaml"
    study.write_text(
        f"name: stored\ndata: {source}\npictures: {{image_size: 36}}\nheads: [gap]\nseeds: 1\n"
        f"recipe: {{epochs: 1, batch_size: 16{recipe}}}\n"
    )
    cache, out = tmp_path / "cache", tmp_path / "out"
    headtohead.compare(study, out=out, cache=cache, device="cpu", workers=1)
    spec = study_from(study)
    _, prepared = prepare_study(spec, cache=cache, progress=lambda *_: None)
    ledger = Ledger.open(out)
    plan = run_plan(ledger, "gap", 0)
    pictures = Pictures(prepared.images, prepared.labels, torch.device("cpu"))
    listed = split_study(spec, prepared, 0)
    stored = in_stored_order(listed, prepared)
    found = {}
    for name, parts in {"listed": listed, "stored": stored}.items():
        (tmp_path / name).mkdir()
        train(plan, pictures, parts, tmp_path / name, Silent())
        found[name] = losses(tmp_path / name)
    asked = "listed" if buffer is None else "stored"
    assert losses(ledger.run_folder("gap", 0)) == pytest.approx(found[asked], rel=1e-5)
    assert found["listed"] != pytest.approx(found["stored"], rel=1e-5)


def test_workers_and_lent_cores_change_no_number(tmp_path: Path) -> None:
    """Else a study cannot be repeated on another machine's number of cores.

    One run on two workers: the second worker's core is lent to the first.
    """
    source = write_pictures(tmp_path / "source", {"cat": 60, "dog": 60})
    found = []
    for workers in (1, 2):
        out = tmp_path / f"out-{workers}"
        headtohead.compare(
            data=source, heads="gap", seeds=1, epochs=2, batch_size=32, image_size=40, out=out,
            cache=tmp_path / "cache", device="cpu", workers=workers,
        )  # fmt: skip
        folder = Ledger.open(out).run_folder("gap", 0)
        history = [record.model_dump(exclude=TIMING) for record in read_history(folder)]
        found.append((history, checkpoint.read(folder / LAST)[0]))
    (history, weights), (other_history, other_weights) = found
    assert history == other_history
    assert weights.keys() == other_weights.keys() != set()
    assert all(torch.equal(weight, other_weights[name]) for name, weight in weights.items())


def test_a_frozen_study_computes_its_features_once(tmp_path: Path) -> None:
    """Else every run pays for the backbone, and keeps its weights once more."""
    source = write_pictures(tmp_path / "source", {"cat": 60, "dog": 60})
    spec, cache = frozen_spec(tmp_path), tmp_path / "cache"
    study = tmp_path / "frozen.yaml"
    study.write_text(
        f"name: frozen\ndata: {source}\npictures: {{image_size: 36}}\nheads: [gap, class_mean]\n"
        f"backbone: {{options: {{widths: [4, 6]}}, weights: {spec.weights}, norm: true}}\n"
        f"seeds: 1\nrecipe: {{epochs: 2, batch_size: 16, augment: {{flip: true}}}}\n"
    )
    out = tmp_path / "out"
    found = headtohead.compare(study, out=out, cache=cache, device="cpu", workers=2)
    assert found.failures == ()
    before = written(cache)
    assert len(before) == 3  # of all images, of those that probes show, and of moved windows
    ledger = Ledger.open(out)
    for head, epochs in (("gap", 2), ("class_mean", 1)):
        folder = ledger.run_folder(head, 0)
        assert len(read_history(folder)) == epochs
        assert all(name.startswith("head.") for name in checkpoint.read(folder / LAST)[0])
    again = headtohead.compare(study, seeds=2, out=out, cache=cache, device="cpu", workers=1)
    assert len(again.ledger.runs()) == 4
    assert written(cache) == before


def written(cache: Path) -> dict[Path, int]:
    """When each file of features was written last."""
    return {path: path.stat().st_mtime_ns for path in (cache / "features").glob("*/features.npy")}


def test_a_worker_reads_a_study_again_when_it_was_extended(tmp_path: Path) -> None:
    """Else it parses YAML for every run, or knows nothing of heads and seeds that were added."""
    source = write_pictures(tmp_path / "source", {"cat": 12, "dog": 12})
    spec = study_from("standard", data=str(source), image_size=36)
    _, prepared = prepare_study(spec, cache=tmp_path / "cache", progress=lambda *_: None)
    out = tmp_path / "out"
    study_ledger(out, seeds=2)
    place = Workplace(out, prepared.folder, torch.device("cpu"))
    first = place.ledger()
    assert place.ledger() is first
    study_ledger(out, seeds=3)
    assert (first.file.study.seeds, place.ledger().file.study.seeds) == (2, 3)
    (out / "study.yaml").unlink()
    with pytest.raises(UsageError, match="holds no study"):
        place.ledger()


@pytest.mark.parametrize("mode", ["fixed", "per-seed"])
def test_a_worker_takes_each_seeds_own_split(tmp_path: Path, mode: str) -> None:
    """Else runs of one seed are trained on another's images."""
    source = write_pictures(tmp_path / "source", {"cat": 12, "dog": 12})
    spec = study_from("standard", data=str(source), image_size=36)
    _, prepared = prepare_study(spec, cache=tmp_path / "cache", progress=lambda *_: None)
    ledger = study_ledger(tmp_path / "out", seeds=2)
    study = ledger.file.study.model_copy(update={"split": SplitSpec.model_validate({"mode": mode})})
    ledger = replace(ledger, file=ledger.file.model_copy(update={"study": study}))
    place = Workplace(ledger.out, prepared.folder, torch.device("cpu"))
    found = [place.split(ledger, seed) for seed in (0, 1, 0)]
    for seed, split in zip((0, 1, 0), found, strict=True):
        own = split_study(study, prepared, seed)
        assert split.train.tolist() == own.train.tolist()
        assert split.test.tolist() == own.test.tolist()
    assert (found[0] is found[1]) == (mode == "fixed")
