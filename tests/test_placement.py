"""Which machine takes which run: a wrong choice makes unfair pairs, or leaves machines idle."""

from collections.abc import Sequence

import pytest

from headtohead.runtime.cluster.placement import (
    ALIKE,
    ClusterMachine,
    Kind,
    choose,
    kind_before,
    kind_of,
)
from headtohead.runtime.jobs import AnyJob, Job, SessionJob

INTEL = kind_of({"torch": "2", "processor": "Intel", "device": "cpu", "kernels": "fused"})
AMD = kind_of({"torch": "2", "processor": "AMD", "device": "cpu", "kernels": "fused"})


def jobs(heads: str, seeds: int) -> list[AnyJob]:
    return [Job(head, seed) for seed in range(seeds) for head in heads]


def all_placed(
    waiting: Sequence[AnyJob], machines: list[ClusterMachine], bound: dict[int, Kind] | None = None
) -> list[tuple[AnyJob, str]]:
    """Everything that can be started at once, in its order."""
    left, running, placed = list(waiting), list[AnyJob](), list[tuple[AnyJob, str]]()
    bound = {} if bound is None else bound
    kinds = {machine.kind for machine in machines}
    while found := choose(left, running, machines, kinds, bound, lambda job, machine: True):
        job, machine = found
        left.remove(job)
        running.append(job)
        machine.busy += 1
        bound.setdefault(job.seed if isinstance(job, Job) else 0, machine.kind)
        placed.append((job, machine.id))
    return placed


def test_all_heads_of_a_seed_go_to_one_kind() -> None:
    """Else heads are compared across processors that round differently."""
    machines = [ClusterMachine("a", INTEL, 3), ClusterMachine("b", AMD, 3)]
    placed = all_placed(jobs("xyz", 2), machines)
    assert len(placed) == 6
    where: dict[int, set[str]] = {}
    for job, machine in placed:
        assert isinstance(job, Job)
        where.setdefault(job.seed, set()).add(machine)
    assert sorted(map(sorted, where.values())) == [["a"], ["b"]]


def test_machines_of_one_kind_share_a_seed_and_the_emptiest_comes_first() -> None:
    """Else a cluster of equal machines trains on one of them."""
    machines = [ClusterMachine("a", INTEL, 1), ClusterMachine("b", INTEL, 4)]
    placed = all_placed(jobs("xy", 1), machines)
    assert [machine for _, machine in placed] == ["b", "b"]
    assert {machine for _, machine in all_placed(jobs("vwxyz", 1), machines)} == {"a", "b"}


def test_a_seed_waits_for_its_kind_and_others_pass_it() -> None:
    machines = [ClusterMachine("a", INTEL, 1, busy=1), ClusterMachine("b", AMD, 1)]
    found = choose(jobs("x", 2), [], machines, {INTEL, AMD}, {0: INTEL}, lambda job, machine: True)
    assert found is not None
    assert (found[0], found[1].id) == (Job("x", 1), "b")


def test_a_seed_whose_kind_is_gone_is_trained_all_the_same() -> None:
    """Its pairs are flagged; else the study never ends."""
    assert all_placed(jobs("x", 1), [ClusterMachine("b", AMD, 1)], {0: INTEL}) == [
        (Job("x", 0), "b")
    ]


def test_a_seed_waits_for_its_kind_that_still_fetches_images() -> None:
    """Else it goes to a foreign kind at once, and its pairs are flagged for nothing."""
    machines = [ClusterMachine("b", AMD, 1)]
    found = choose(jobs("x", 1), [], machines, {AMD, INTEL}, {0: INTEL}, lambda *_: True)
    assert found is None


def test_a_slow_machine_of_its_own_kind_gets_no_last_seed() -> None:
    """Else ten machines wait while one trains a whole seed."""
    machines = [ClusterMachine("fast", INTEL, 10, busy=9), ClusterMachine("slow", AMD, 1)]
    assert [where for _, where in all_placed(jobs("xyz", 1), machines)] == ["fast"]
    machines = [ClusterMachine("fast", INTEL, 10, busy=10), ClusterMachine("slow", AMD, 1)]
    assert [where for _, where in all_placed(jobs("xyz", 20), machines)] == ["slow"]


@pytest.mark.parametrize("kinds", [1, 2, 5])
def test_something_can_always_start_on_an_idle_cluster(kinds: int) -> None:
    found = [kind_of({"processor": str(number)}) for number in range(kinds)]
    machines = [ClusterMachine(str(n), kind, 1) for n, kind in enumerate(found)]
    assert all_placed(jobs("xyz", 1), machines)


def test_a_run_waits_for_the_one_that_it_starts_from() -> None:
    """Else a head starts from a backbone that nobody has trained yet."""
    first, second = Job("a", 0), Job("b", 0, after="a")
    machine = ClusterMachine("m", INTEL, 2)
    assert all_placed([second, first], [machine]) == [(first, "m")]
    found = choose(
        [second], [first], [ClusterMachine("m", INTEL, 2)], {INTEL}, {}, lambda job, machine: True
    )
    assert found is None


def test_a_full_cluster_and_a_machine_without_images_get_nothing() -> None:
    machine = ClusterMachine("m", INTEL, 1, busy=1)
    assert choose(jobs("x", 1), [], [machine], {INTEL}, {}, lambda job, machine: True) is None
    assert (
        choose(jobs("x", 1), [], [ClusterMachine("m", INTEL, 1)], {INTEL}, {}, lambda *_: False)
        is None
    )
    assert choose(jobs("x", 1), [], [], set(), {}, lambda *_: True) is None


def test_the_session_goes_where_seed_0_was_trained() -> None:
    """Else the speed of all heads is that of another processor than their runs'."""
    machines = [ClusterMachine("a", INTEL, 8), ClusterMachine("b", AMD, 1)]
    assert all_placed([SessionJob("speed", ("x",))], machines, {0: AMD})[0][1] == "b"


def test_an_earlier_run_binds_its_seed_to_the_kind_that_it_recorded() -> None:
    """Else a resumed study trains the missing heads of a seed elsewhere."""
    recorded = {**dict(AMD), "threads": "1", "cores": "64", "release": "Linux 6"}
    assert kind_before(recorded, [INTEL, AMD]) == AMD
    assert kind_before({**recorded, "kernels": "plain"}, [INTEL, AMD]) == AMD
    assert kind_before({**recorded, "torch": "3"}, [INTEL, AMD]) is None
    plain = kind_of({**dict(AMD), "kernels": "plain"})
    for kinds in ([AMD, plain], [plain, AMD]):
        assert kind_before({**recorded, "kernels": "plain"}, kinds) == plain
    assert kind_before(recorded, [plain]) is None


def test_a_kind_has_what_pairs_are_flagged_by() -> None:
    """Else machines count as alike whose pairs the report refuses."""
    from headtohead.store.records import NUMERIC_ENVIRONMENT

    assert {*ALIKE, "threads"} == set(NUMERIC_ENVIRONMENT)  # a worker has one thread everywhere


def test_a_job_goes_where_it_has_not_died() -> None:
    """Else one broken machine, always free, takes every job until each counts as failed."""
    broken, sound = ClusterMachine("broken", INTEL, 4), ClusterMachine("sound", INTEL, 1)
    waiting, kinds = jobs("x", 1), {INTEL, AMD}
    died = {waiting[0]: ["broken"]}
    found = choose(waiting, [], [broken, sound], kinds, {0: INTEL}, lambda *_: True, died)
    assert found is not None
    assert found[1] is sound
    sound.busy = 1
    assert choose(waiting, [], [broken, sound], kinds, {0: INTEL}, lambda *_: True, died) is None
    found = choose(waiting, [], [broken], kinds, {0: INTEL}, lambda *_: True, died)
    assert found is not None, "a cluster of one machine tries again"


def test_a_seed_without_runs_leaves_a_kind_whose_only_machine_is_broken() -> None:
    """Else the one broken machine of its kind fails a whole seed, with sound ones beside it."""
    broken, sound = ClusterMachine("broken", INTEL, 8), ClusterMachine("sound", AMD, 1)
    waiting, kinds = jobs("x", 1), {INTEL, AMD}
    found = choose(
        waiting, [], [broken, sound], kinds, {}, lambda *_: True, {waiting[0]: ["broken"]}
    )
    assert found is not None
    assert found[1] is sound
    found = choose(waiting, [], [broken, sound], kinds, {0: INTEL}, lambda *_: True, {})
    assert found is not None
    assert found[1] is broken
