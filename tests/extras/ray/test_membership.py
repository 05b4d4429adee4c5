"""Who is there and who has which files, by a Ray that only keeps what it is asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from fakes import ME, PREPARED, FakeRay, answer, settle, setup

from headtohead.config.study import BackboneSpec, StudySpec
from headtohead.runtime.cluster import file_sets, node
from headtohead.runtime.cluster import membership as module
from headtohead.runtime.cluster.membership import KnownMachine, Membership
from headtohead.runtime.jobs import Job


class Here:
    """A membership, its Ray, and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ray: FakeRay, **changes: Any) -> None:
        self.ray, self.said = ray, list[str]()
        monkeypatch.setattr(module, "ray", ray)
        monkeypatch.setattr(module, "on", lambda node: SimpleNamespace(node_id=node))
        self.membership = Membership(setup(**changes), self.said.append)
        self.membership.refresh()

    def welcome(self, **changes: Any) -> dict[str, KnownMachine]:
        """All machines say that they have the prepared set."""
        for task in self.ray.asked(node.look):
            if task in self.membership.pending:
                settle(self.membership, task, answer(task.machine, **changes))
        return {member.id: member for member in self.membership.usable()}


def frozen(tmp_path: Path) -> Any:
    from ledgers import study_ledger

    ledger = study_ledger(tmp_path / "out")
    study: StudySpec = ledger.file.study
    study = study.model_copy(update={"backbone": BackboneSpec(train="none")})
    return type(ledger)(ledger.out, ledger.file.model_copy(update={"study": study}))


@pytest.mark.parametrize(("sees", "has_it"), [([], False), (["cache"], True)])
def test_caches_of_one_path_are_one_disk_only_where_the_token_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sees: list[str], has_it: bool
) -> None:
    """Else each machine computes features by itself, with other last bits, and none is flagged."""
    here = Here(monkeypatch, FakeRay("a", "b"))
    members = here.welcome(sees=sees)
    here.membership.study(frozen(tmp_path))
    job = Job("gap", 0)
    assert here.membership.able(job, members["a"])
    here.membership.begin(job, members["a"])
    assert here.membership.able(job, members["b"]) == has_it
    here.membership.features_ready(0, members["a"])
    assert [place.partition("/")[0] for place in members["a"].places] == ["prepared", "features"]
    assert here.membership.able(job, members["b"]) == has_it


def test_features_are_ready_while_another_machine_still_fetches_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the study ends with an error of Python's."""
    here = Here(monkeypatch, FakeRay("a", "b"))
    (first, second) = here.ray.asked(node.look)
    settle(here.membership, first, answer(first.machine))
    settle(here.membership, second, answer(second.machine, has={}))
    here.membership.study(frozen(tmp_path))
    (member,) = here.membership.usable()
    here.membership.begin(Job("gap", 0), member)
    here.membership.features_ready(0, member)
    assert len(member.places) == 2


def test_a_command_whose_own_machine_is_left_out_still_sends_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a cluster whose head has a full disk trains nothing."""
    here = Here(monkeypatch, FakeRay(ME, "b"))
    (mine,) = here.ray.asked(node.look, ME)
    settle(here.membership, mine, answer(ME))
    here.membership.leave_out(ME, "cannot be written to", disk=True)
    (other,) = here.ray.asked(node.look, "b")
    settle(here.membership, other, answer("b", has={}))
    here.membership.refresh()
    (fetching,) = here.ray.asked(file_sets.fetch)
    assert fetching.machine == "b"
    assert fetching.arguments[2] == [(ME, PREPARED)]


@pytest.mark.parametrize(
    ("there", "asked", "slots"),
    [(2, 0.4, 4), (2, 0.5, 4), (2, 1, 2), (3, 2, 1), (1, 0.3, 3), (8, 0.1, 80), (1, 0.6, 1)],
)
def test_runs_share_a_gpu_and_none_has_parts_of_two(
    monkeypatch: pytest.MonkeyPatch, there: int, asked: float, slots: int
) -> None:
    """Else more runs are sent than Ray begins, and each waits five minutes for nothing."""
    per_run = {"cores": 0.01, "gpus": asked, "memory": None}
    here = Here(monkeypatch, FakeRay("a", GPU=there), device="cuda", per_run=per_run)
    assert here.welcome()["a"].slots == slots
