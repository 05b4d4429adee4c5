"""One setup for each worker."""

import os
import re
from pathlib import Path

import pytest

from headtohead.config.from_options import study_from
from headtohead.config.study import HeadSpec, StudySpec
from headtohead.config.study_files import resolve_study
from headtohead.core.errors import UsageError
from headtohead.heads.table import HEADS, build_head
from headtohead.runtime import models_check
from headtohead.runtime.heads_check import sizes_of
from headtohead.runtime.models_check import answer, answer_or_refusal, worker_setups
from headtohead.runtime.preflight import (
    PreflightAnswer,
    guidance_of,
    question_about,
    refuse_too_large,
)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_workers_are_pinned_only_where_they_fill_the_machine() -> None:
    """Else two small studies at once share one core, while the others are idle."""
    cores = sorted(os.sched_getaffinity(0))
    assert [setup["core"] for setup in worker_setups("cpu", None)] == cores
    more = worker_setups("cpu", len(cores) + 1, deterministic=True)
    assert {setup["core"] for setup in more} == {None}
    assert [setup["worker"] for setup in more] == list(range(len(cores) + 1))
    assert all(setup["deterministic"] for setup in more)


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ("gap,gem(q=4)", "gem cannot take the option 'q'; it takes p, learn"),
        ("gap,gem(p=0.5)", "p is a number from 1 to 1,000,000; received 0.5"),
    ],
)
def test_heads_that_cannot_be_trained_are_told_before_any_work(heads: str, words: str) -> None:
    """Else it is told after the images were prepared, or as an error of the optimiser."""
    spec = resolve_study("quick", heads=heads)
    refusal = answer_or_refusal(question_about(spec, "cpu", 1, deterministic=False)).refusal
    assert refusal is not None
    assert words in refusal


def test_heads_with_options_pass() -> None:
    """Else the refusals above refuse everything."""
    spec = resolve_study("quick", heads="gap,gem(p=4),attention(heads=4)")
    found = answer_or_refusal(question_about(spec, "cpu", 1, deterministic=False))
    assert found.refusal is None
    assert len(found.setups) == 1


def test_more_stages_than_there_are_are_told_before_the_work() -> None:
    """Else a study prepares all its images, and then every run fails."""
    study = study_from("quick", train_backbone="last:4")
    with pytest.raises(UsageError, match="has 3 stages; received last:4"):
        answer(question_about(study, "cpu", 1, deterministic=True))


SILENT = """
import torch
from torch import nn

class Silent(nn.Module):
    channels = 4

    def __init__(self, grad=False):
        super().__init__()
        self.grad = grad
        self.layer = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, images):
        with torch.set_grad_enabled(self.grad):
            return self.layer(images)
"""


def test_a_backbone_that_cannot_be_trained_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study that says that it trains everything trains the heads alone."""
    (tmp_path / "silent_h2h.py").write_text(SILENT)
    monkeypatch.syspath_prepend(tmp_path)

    def refused(grad: bool, train: str) -> bool:
        study = study_from("quick", backbone="silent_h2h:Silent", train_backbone=train)
        backbone = study.backbone.model_copy(update={"options": {"grad": grad}})
        study = study.model_copy(update={"backbone": backbone})
        asked = question_about(study, "cpu", 1, deterministic=True)
        return "none of its 112 parameters" in (answer_or_refusal(asked).refusal or "")

    assert refused(False, "all")
    assert not refused(False, "none")
    assert not refused(True, "all")


def test_what_to_know_of_heads_is_said_before_any_work() -> None:
    """Else hours go into heads that are one function, or seeds that decide nothing."""
    spec = resolve_study("quick", heads="gap,nin,gem(p=4)", seeds=2)
    found = answer_or_refusal(question_about(spec, "cpu", 1, deterministic=False))
    means = "one linear layer on the means"
    assert found.functions == {"gap": means, "nin": means}
    same, few = guidance_of(spec, found)
    assert "gap and nin" in same
    assert "2 comparisons" in few


def test_pretrained_weights_on_small_images_are_told() -> None:
    """Else a first study on photographs is less accurate than it could be, and nothing says why."""
    spec = study_from("standard", seeds=7, heads="gap")
    about = {"its image size": "224", "weights": "the file lite0.pth, 13.7 MB of tensors"}
    (told,) = guidance_of(spec, PreflightAnswer(about=about))
    assert "--image-size 224" in told
    assert not guidance_of(spec, PreflightAnswer(about={**about, "its image size": "96"}))
    assert not guidance_of(spec, PreflightAnswer(about={**about, "weights": "random"}))


def test_a_norm_before_the_heads_is_reckoned_with() -> None:
    """Else a head that discards negative values loses half of what it is given, unsaid."""
    spec = resolve_study("quick", heads="gap,gem,stochastic,gmp", seeds=7)
    said = {}
    for norm in (False, True):
        backbone = spec.backbone.model_copy(update={"norm": norm})
        asked = question_about(
            spec.model_copy(update={"backbone": backbone}), "cpu", 1, deterministic=False
        )
        said[norm] = " ".join(answer_or_refusal(asked).guidance)
    assert "stochastic" not in said[False]
    assert {"gem", "stochastic", "negative"} <= {*said[True].replace(",", " ").split()}


def test_a_head_that_no_memory_holds_is_refused_with_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the worker is killed while it builds it, and nobody learns by which head."""
    monkeypatch.setattr(models_check, "available_memory", lambda device: 1_000_000)
    spec = resolve_study("quick", heads="gap,fc")
    refusal = answer_or_refusal(question_about(spec, "cpu", 1, deterministic=False)).refusal
    assert refusal is not None
    assert re.match(r"fc has [\d,]{7,} parameters", refusal)


@pytest.mark.parametrize("name", HEADS)
def test_a_heads_size_is_known_for_any_number_of_classes(name: str) -> None:
    """Else a head of gigabytes at 10,000 classes is counted as what it is at two."""
    found = sizes_of([(name, HeadSpec())], 32, (4, 3))[name]
    for classes, outputs in ((2, 1), (3, 3), (10, 10)):
        built = build_head(name, 32, (4, 3), outputs)
        assert found.for_classes(classes) == sum(p.numel() for p in built.parameters())


def test_each_heads_memory_is_that_of_its_own_optimizer() -> None:
    """Else a study that trains by SGD is refused for averages that only Adam keeps."""
    heads = {"fc": {}, "gap": {"recipe": {"optimizer": "adam"}}}
    content = {"name": "s", "data": "synthetic", "heads": heads, "recipe": {"optimizer": "sgd"}}
    spec = StudySpec.model_validate(content)
    question = question_about(spec, "cpu", 1, deterministic=False)
    assert question.optimizers == {"fc": "sgd", "gap": "adam"}
    found = sizes_of(question.models, 8, (4, 3), question.optimizers)
    assert (found["fc"].optimizer, found["gap"].optimizer) == ("sgd", "adam")
    just = 12 * found["fc"].two
    refuse_too_large(found, just, classes=2)
    with pytest.raises(UsageError, match=r"^fc has"):
        refuse_too_large(found, just - 1, classes=2)


def test_heads_too_large_for_all_classes_are_refused_once_these_are_known() -> None:
    """Else they are refused at two classes, where they fit, and end a worker at 10,000."""
    sizes = sizes_of([("netvlad", HeadSpec()), ("gap", HeadSpec())], 1280, (7, 7))
    refuse_too_large(sizes, 10**9, classes=2)
    with pytest.raises(UsageError, match=r"^netvlad has [\d,]{11,} parameters") as refusal:
        refuse_too_large(sizes, 10**9, classes=10_000)
    assert "gap" not in str(refusal.value)


def test_who_only_gets_ready_looks_at_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each of eight workers takes some 500 MB of the first GPU beside what it trains on."""
    asked = []

    def nine(device: object) -> int:
        asked.append(device)
        return 9

    monkeypatch.setattr(models_check, "available_memory", nine)
    question = question_about(resolve_study("quick", heads="gap"), "cpu", 1, deterministic=False)
    assert "parameters" in (answer_or_refusal(question).refusal or "")
    again = answer_or_refusal(question.model_copy(update={"answered": True}))
    assert (again.refusal, len(again.setups), len(asked)) == (None, 1, 1)
