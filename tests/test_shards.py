"""Shards of a batch: the same numbers to the bit, however many cores work them off."""

import os
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from headtohead.accel import accelerate, shards
from headtohead.accel.shards import SIZE, each
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import Classifier, build_classifier
from headtohead.training.optimizer import KerasAdam


@pytest.fixture(autouse=True)
def nothing_lent() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    shards.lend([])
    torch.set_num_threads(threads)


def trained(lent: list[list[int | None]]) -> list[Tensor]:
    """All weights and averages after a step for each entry of `lent`, and logits at the end."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pictures = torch.rand(3 * SIZE + 5, 3, 48, 48).contiguous(memory_format=torch.channels_last)
    labels = (torch.arange(len(pictures)) % 2).float()
    model: Classifier = build_classifier(
        BackboneSpec(), "gap", HeadSpec(), image_size=48, classes=2, seed=0
    )
    model.backbone = accelerate(model.backbone)
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = KerasAdam(model.parameters(), 1e-2)
    for cores in lent:
        shards.lend(cores)
        logits = model(pictures)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        return [*model.state_dict().values(), model.eval()(pictures)]


@pytest.mark.parametrize("lent", [[None], [None, None, None], [0]])
def test_cores_change_no_bit_of_training_or_evaluation(lent: list[int | None]) -> None:
    """Else a run depends on what else the machine was doing, and cannot be repeated."""
    alone = trained([[]] * 4)
    for other in (trained([lent] * 4), trained([[], lent, [], lent])):
        assert all(torch.equal(one, two) for one, two in zip(alone, other, strict=True))


def test_shards_cover_a_batch_once() -> None:
    for count in (0, 1, SIZE - 1, SIZE, SIZE + 1, 64):
        covered = [index for part in shards.shards(count) for index in range(count)[part]]
        assert covered == list(range(count))


def test_results_come_in_order_from_several_threads() -> None:
    shards.lend([None, None])
    together = threading.Barrier(3, timeout=20)

    def work(number: int, word: str) -> tuple[str, int]:
        if number < 3:
            together.wait()  # passes only where three threads are at work
        return word * number, threading.get_ident()

    found = each(work, range(20), "abcdefghijklmnopqrst")
    assert [word for word, _ in found] == [
        letter * n for n, letter in enumerate("abcdefghijklmnopqrst")
    ]
    assert len({thread for _, thread in found}) == 3


@pytest.mark.parametrize("at", [0, 7, 19])
def test_an_error_in_a_shard_is_raised_and_the_next_batch_goes_on(at: int) -> None:
    """Else a failure on a lent core leaves wrong numbers, or a run that waits for ever."""
    shards.lend([None])

    def work(number: int) -> int:
        if number == at:
            raise ValueError("no")
        return number

    with pytest.raises(ValueError, match="no"):
        each(work, range(20))
    assert each(lambda number: number, range(3)) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_lent_core_is_used_and_given_back() -> None:
    core = max(os.sched_getaffinity(0))
    shards.lend([core])
    together = threading.Barrier(2, timeout=20)

    def where(_: int) -> tuple[int, frozenset[int]]:
        together.wait()
        return threading.get_ident(), frozenset(os.sched_getaffinity(0))

    helper = dict(each(where, range(2)))
    del helper[threading.get_ident()]
    assert list(helper.values()) == [{core}]
    shards.lend([])
    assert {each(lambda _: threading.get_ident(), range(2))[0]} == {threading.get_ident()}


def test_a_helper_flushes_denormals_as_its_maker_does() -> None:
    """Else a weight that fades to nothing has other bits on a lent core."""
    torch.set_flush_denormal(True)
    try:
        shards.lend([None])
        together = threading.Barrier(2, timeout=20)

        def halve(_: int) -> float:
            together.wait()
            return float(torch.tensor([1.2e-38]).div(2)[0])

        assert each(halve, range(2)) == [0.0, 0.0]
    finally:
        torch.set_flush_denormal(False)
