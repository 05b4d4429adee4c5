"""Who is there and who has which files, by a Ray that only keeps what it is asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from fakes import ME, PREPARED, FakeRay, Task, answer, put, settle, setup

from headtohead.config.study import BackboneSpec, StudySpec
from headtohead.core.errors import RunError, StorageError
from headtohead.runtime.cluster import file_sets, node, stock
from headtohead.runtime.cluster import membership as module
from headtohead.runtime.cluster.membership import Membership
from headtohead.runtime.cluster.placement import ClusterMachine
from headtohead.runtime.jobs import Job

HAS = {"prepared/digest": PREPARED}
FILES = file_sets.FileSet("prepared/digest", ())


class Here:
    """A membership, its Ray, and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ray: FakeRay, **changes: Any) -> None:
        self.ray, self.said = ray, list[str]()
        put(monkeypatch, ray, module)
        self.membership = Membership(setup(**changes), self.said.append)
        self.membership.refresh()

    def later(self, seconds: float) -> None:
        """So much time passes, by the fixture `now`."""
        module.time.now += seconds  # type: ignore[attr-defined]
        self.membership.refresh()

    def welcome(self, **changes: Any) -> dict[str, ClusterMachine]:
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
    here.membership.stock.study(frozen(tmp_path))
    job = Job("gap", 0)
    assert here.membership.stock.able(job, members["a"])
    here.membership.stock.begin(job, members["a"])
    assert here.membership.stock.able(job, members["b"]) == has_it
    here.membership.stock.features_ready(0, members["a"], members.values())
    assert [place.partition("/")[0] for place in members["a"].places] == ["prepared", "features"]
    assert here.membership.stock.able(job, members["b"]) == has_it


def test_features_are_ready_while_another_machine_still_fetches_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the study ends with an error of Python's."""
    here = Here(monkeypatch, FakeRay("a", "b"))
    (first, second) = here.ray.asked(node.look)
    settle(here.membership, first, answer(first.machine))
    settle(here.membership, second, answer(second.machine, has={}))
    here.membership.stock.study(frozen(tmp_path))
    (member,) = here.membership.usable()
    here.membership.stock.begin(Job("gap", 0), member)
    here.membership.stock.features_ready(0, member, here.membership.usable())
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
    (hashing,) = here.ray.asked(file_sets.hashed)
    assert (hashing.machine, hashing.arguments[1]) == (ME, PREPARED)
    settle(here.membership, hashing, None, FILES)
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


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    for where in (module, stock):
        monkeypatch.setattr(where, "time", clock)
    return clock


class Fetching(Here):
    """Machine b fetches images from this one's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ray = FakeRay(ME, "b")
        ray.idle = {ME}
        super().__init__(monkeypatch, ray)
        (task,) = self.ray.asked(node.look)
        settle(self.membership, task, answer("b", has={}))
        self.membership.refresh()
        (hashing,) = self.ray.asked(file_sets.hashed)
        settle(self.membership, hashing, FILES)
        self.membership.refresh()

    @property
    def last(self) -> Task:
        return self.ray.asked(file_sets.fetch)[-1]


def test_a_machine_that_never_says_what_it_is_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a study waits for it for ever; or a slow one, on which Ray starts late, is lost."""
    here = Here(monkeypatch, FakeRay("a"))
    here.later(100)
    assert here.said == []
    here.later(25)
    assert here.said == ["a is left out: it does not answer"]
    assert here.ray.tasks[0].cancelled


def test_a_machine_that_is_left_out_while_it_is_asked_again_stays_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one with a full disk gets the same run again and again, without a word and an end."""
    here = Here(monkeypatch, FakeRay("a", "b"))
    members = here.welcome()
    here.membership.ask_again(members["a"])
    here.later(6)
    here.membership.leave_out("a", "cannot be written to", disk=True)
    assert here.welcome().keys() == {"b"}


def test_a_machine_that_is_asked_again_goes_on_computing_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another machine computes them, too, perhaps with other last bits, for the same seed."""
    here = Here(monkeypatch, FakeRay("a", "b", "c"))
    members = here.welcome()
    stock, job = here.membership.stock, Job("gap", 0)
    stock.study(frozen(tmp_path))
    stock.begin(job, members["a"])
    # Found once: a thousand runs, on 64 machines that wait, would keep the driver busy for nothing.
    monkeypatch.delattr("headtohead.runtime.cluster.stock.key_of")
    here.membership.ask_again(members["a"])
    here.membership.leave_out("c", "cannot be written to")
    assert {member.id for member in here.membership.usable()} == {"b"}
    assert not stock.able(job, members["b"])
    stock.features_ready(0, members["a"], here.membership.complete())
    assert not stock.able(job, members["b"])
    assert [task.machine for task in here.ray.asked(file_sets.hashed)] == ["a"]
    here.later(6)
    assert here.welcome().keys() == {"a", "b"}


def test_a_machine_that_is_gone_while_it_is_asked_again_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else those that fetch from it fail, and are left out."""
    ray = FakeRay(ME, "a", "b", "c")
    ray.idle = {ME}
    here = Here(monkeypatch, ray)
    for task in ray.asked(node.look):
        settle(here.membership, task, answer(task.machine, has=HAS if task.machine != "c" else {}))
    here.membership.ask_again(here.membership.usable()[0])
    ray.machines.remove("a")
    here.later(6)
    settle(here.membership, ray.asked(file_sets.hashed)[0], FILES)
    here.later(6)
    (fetching,) = ray.asked(file_sets.fetch)
    assert [machine for machine, _ in fetching.arguments[2]] == [ME, "b"]


def test_a_fetch_that_gets_on_may_take_long_and_one_that_hangs_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one that hangs keeps the study waiting for ever."""
    here = Fetching(monkeypatch)
    first = here.last
    for _ in range(10):
        settle(here.membership, first, None)
        here.later(100)
    assert here.last is first
    for number in (1, 2):
        here.later(200)
        assert here.ray.asked(file_sets.fetch)[-2].cancelled
        assert len(here.ray.asked(file_sets.fetch)) == 1 + number
    here.later(200)
    assert len(here.said) == 1
    assert "b is left out" in here.said[0]


def test_what_did_not_arrive_is_fetched_again_and_no_disk_is_to_blame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one turned bit leaves a machine out for ever, because of its disk."""
    here = Fetching(monkeypatch)
    for _ in range(2):
        settle(here.membership, here.last, _failed(file_sets.FetchError("other hash")))
        here.later(6)
    assert here.said == []
    settle(here.membership, here.last, PREPARED)
    (member,) = here.membership.usable()
    here.membership.ask_again(member)
    here.later(6)
    settle(here.membership, here.ray.asked(node.look)[-1], answer("b", has={}))
    here.later(6)
    for _ in range(2):  # what failed before that does not count any more
        settle(here.membership, here.last, _failed(file_sets.FetchError("other hash")))
        here.later(6)
    assert here.said == []
    settle(here.membership, here.last, _failed(StorageError("disk full")))
    assert len(here.said) == 1
    here.later(module.ABSENT + 1)
    with pytest.raises(StorageError):
        here.membership.check_hope()


def _failed(cause: Exception) -> Exception:
    """As Ray raises what a task raised."""
    error: Exception = FakeRay.exceptions.RayTaskError("fetch", "", cause).as_instanceof_cause()
    return error


def test_a_machine_that_cannot_read_its_files_hashes_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else every machine that waits for these files is left out, and told that its disk is bad."""
    here = Here(monkeypatch, FakeRay(ME, "b", "c"))
    for task in here.ray.asked(node.look):
        settle(here.membership, task, answer(task.machine, has=HAS if task.machine == "b" else {}))
    here.membership.refresh()
    for _ in range(module.FETCHES):
        hashing = here.ray.asked(file_sets.hashed)[-1]
        assert hashing.machine == ME
        settle(here.membership, hashing, _failed(FileNotFoundError("gone")))
        here.later(6)
    hashing = here.ray.asked(file_sets.hashed)[-1]
    assert hashing.machine == "b"
    assert here.said == []
    for _ in range(module.FETCHES - 1):
        hashing = here.ray.asked(file_sets.hashed)[-1]
        settle(here.membership, hashing, _failed(FileNotFoundError("gone")))
        here.later(6)
    with pytest.raises(RunError, match="gone"):
        settle(here.membership, here.ray.asked(file_sets.hashed)[-1], _failed(OSError("gone")))


def test_when_the_last_machine_goes_another_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a cloud that takes the last machine away ends the study at once."""
    ray = FakeRay("a")
    here = Here(monkeypatch, ray)
    here.welcome()
    here.later(10_000)
    ray.machines = []
    here.later(6)
    assert here.membership.usable() == []
    here.membership.check_hope()
    here.later(module.ABSENT - 10)
    here.membership.check_hope()
    here.later(11)
    with pytest.raises(RunError):
        here.membership.check_hope()


@pytest.mark.parametrize(("weights", "free"), [(None, True), ("pretrained", False)])
def test_features_of_a_run_that_died_are_computed_elsewhere_unless_another_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str | None, free: bool
) -> None:
    """Else the run waits for ever for a machine that does nothing, or two compute the same."""
    here = Here(monkeypatch, FakeRay("a", "b"))
    members = here.welcome()
    ledger = frozen(tmp_path)
    study = ledger.file.study
    backbone = study.backbone.model_copy(update={"weights": weights, "weights_sha256": "0" * 64})
    study = study.model_copy(update={"backbone": backbone})
    stock = here.membership.stock
    stock.study(type(ledger)(ledger.out, ledger.file.model_copy(update={"study": study})))
    mine, other = Job("gap", 0), Job("gap", 1)  # with weights, all seeds have the same features
    stock.begin(mine, members["a"])
    stock.begin(other, members["a"])
    assert not stock.able(mine, members["b"])
    stock.ended(mine, [other])
    assert stock.able(mine, members["b"]) == free
    stock.ended(other, [])
    assert stock.able(mine, members["b"])
