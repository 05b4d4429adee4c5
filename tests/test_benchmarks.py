"""The benchmark's bookkeeping on real processes: what counts, what is lost, what is claimed."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

# isort: split
import growth
import measures
import preparing
import startup
import step
import study
from headtohead.store.records import EpochRecord
from measuring import OURS, Failure, Measurement, Task, interleaved, last_words, measure, portable
from photographs import write_pictures
from processes import resident, tree
from recording import Recording
from setting import Setting
from stated import stated
from tables import case_table, ratios
from targets import ARTICLE, HEADS, TARGETS, Target, judged, targets_table


def task(side: str, code: str, **more: Any) -> Task:
    return Task("study", "case", side, lambda _: [sys.executable, "-c", code], **more)


def measurement(side: str, seconds: float, repetition: int = 0, **more: Any) -> Measurement:
    known: dict[str, Any] = {
        "question": "study", "case": "case", "cpu_seconds": 2 * seconds, "peak_bytes": 5_000_000,
        "pictures": 100, "load_before": 0.0, "command": "true",
    }  # fmt: skip
    return Measurement(side=side, seconds=seconds, repetition=repetition, **(known | more))


def measured(given: Task) -> Measurement:
    outcome = measure(given, 0)
    assert isinstance(outcome, Measurement), outcome
    return outcome


def test_a_side_that_fails_costs_only_itself() -> None:
    """Else hours of the other sides' measurements go with it."""
    tasks = [task("bad", "raise SystemExit('no such option')"), task("good", "pass")]
    outcomes = list(interleaved(tasks, repetitions=2))
    bad = [o for o in outcomes if o.side == "bad"]
    assert all(isinstance(o, Failure) and "no such option" in o.words for o in bad)
    assert [type(o) for o in outcomes if o.side == "good"] == [Measurement, Measurement]
    shown = case_table(outcomes, ("good",))
    assert "| bad | – |" in shown
    assert "**bad failed** in repetition 2" in shown
    assert "no such option" in shown


@pytest.mark.parametrize(
    "given",
    [
        Task("q", "c", "missing", lambda _: ["/no/such/program"]),
        task("no results", "pass", results=lambda scratch: (scratch / "none").read_text()),
        task("no numbers", "print('{\"seconds\": null}')"),
        task("killed", "import os; os.kill(os.getpid(), 9)"),
    ],
    ids=lambda given: given.side,
)
def test_every_way_to_fail_is_an_outcome(given: Task) -> None:
    outcome = measure(given, 0)
    assert isinstance(outcome, Failure)
    assert outcome.words


def test_a_recorded_command_names_no_folder_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [str(tmp_path / "bin/python"), "-c", f"OUT={tmp_path.parent}/else", "a/b", "--n", "1"]
    assert portable(command) == "bin/python -c OUT=.../else a/b --n 1"


def test_sides_take_turns_in_going_first() -> None:
    """Else one side always meets the caches and the load that another left."""
    tasks = [task("a", "pass"), task("b", "pass")]
    assert [o.side for o in interleaved(tasks, 2)] == ["a", "b", "b", "a"]


def test_a_process_that_timed_itself_is_believed_and_the_rest_stands_beside() -> None:
    found = measured(
        task(
            "a",
            'print(\'epoch 1\'); print(\'{"seconds": 7, "cpu_seconds": 8, "accuracy": 0.5}\')',
            results=lambda _: {"span": 3.0},
        )
    )
    assert (found.seconds, found.cpu_seconds) == (7, 8)
    assert found.said == {"accuracy": 0.5, "span": 3.0}


def test_words_that_are_no_numbers_are_no_results() -> None:
    assert last_words("") == last_words("done\n") == last_words('{"a": 1}\ndone') == {}
    assert last_words('done\n{"a": 1}\n') == {"a": 1.0}


def test_memory_is_that_of_the_process() -> None:
    """Also of one that is over before the first sample."""
    bytes_written = 900_000_000
    assert measured(task("a", f"b'1' * {bytes_written}")).peak_bytes > bytes_written


def test_descendants_belong_to_the_tree() -> None:
    """Else workers' memory is nobody's, and a DataLoader looks as small as its parent."""
    inner = "import sys; print('ready', flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        found = tree(process.pid)
        assert found[0] == process.pid
        assert len(found) == 2
        assert all(resident(pid) > 1_000_000 for pid in found)
        process.communicate()
    assert resident(process.pid) == 0


def test_what_was_measured_is_on_disk_after_each_measurement(tmp_path: Path) -> None:
    """A benchmark that is killed must not lose what it had."""
    recording = Recording(tmp_path / "bench.json", {"machine": "a"})
    for count in (1, 2):
        recording.add(measurement(OURS, 1.0, count))
        content = json.loads((tmp_path / "bench.json").read_text("utf-8"))
        assert len(content["measurements"]) == count
    recording.add(Failure("study", "case", ARTICLE, 0, "python", "no room"))
    content = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert content["machine"] == "a"
    assert content["failures"][0]["words"] == "no room"
    assert "no room" in (tmp_path / "bench.md").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.md"]


def test_ratios_pair_repetitions() -> None:
    """A repetition that one side lost must not shift the other's."""
    ones = [measurement("a", 2.0, 0), measurement("a", 8.0, 2)]
    others = [measurement("b", 1.0, 0), measurement("b", 9.0, 1), measurement("b", 2.0, 2)]
    assert ratios(ones, others, lambda m: m.seconds) == [2.0, 4.0]


def test_a_table_compares_with_every_base_it_has() -> None:
    sides = [measurement("floor", 1.0), measurement(OURS, 2.0), measurement("peer", 8.0)]
    heading, _, *rows = case_table(sides, (OURS, "floor", "absent")).splitlines()
    assert "CPU, times headtohead | wall, times floor" in heading
    assert "absent" not in heading
    cells = {row.split(" | ")[0].strip("| "): row.rstrip(" |").split(" | ") for row in rows}
    assert cells["peer"][-4:] == ["4.00", "4.00", "8.00", "8.00"]


def holds(target: Target, *found: Measurement) -> bool | None:
    return judged(target, found).holds


def test_targets_are_judged_by_what_was_measured() -> None:
    """A yes that no number carries is worse than none."""
    target = Target("w", "study", "seconds", "peer", OURS, "at least", 2.0)
    ours, slow, close = (
        measurement(OURS, 1.0), measurement("peer", 3.0), measurement("peer", 1.5)
    )  # fmt: skip
    assert holds(target, ours, slow) is True
    assert holds(target, ours, close) is False
    assert holds(target, ours) is holds(target, slow) is None
    assert holds(target, replace(ours, question="other"), slow) is None
    assert holds(replace(target, sense="at most"), ours, close) is True


def test_a_target_may_bound_what_a_process_said_in_one_case() -> None:
    target = Target("w", "study", "share", OURS, None, "at most", 2.0, case="fc:")
    within = measurement(OURS, 1.0, case="fc: a", said={"share": 1.0})
    other = measurement(OURS, 1.0, case="fc_dropout: a", said={"share": 9.0})
    assert judged(target, [within, other]).values == (1.0,)


def test_targets_of_questions_not_asked_are_not_shown() -> None:
    shown = targets_table([measurement(OURS, 1.0), measurement(ARTICLE, 4.4)])
    (row,) = (line for line in shown.splitlines() if "4.40" in line)
    cells = row.strip("| ").split(" | ")
    assert "TensorFlow, wall" in cells[0]
    assert cells[1:] == ["at least 4.5", "4.40", "**no**"]
    assert "| not measured |" in shown
    assert "training step" not in shown


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    python = Path(sys.executable)
    setting = Setting(
        data=tmp_path, photographs=tmp_path, counts={"train": 80, "validation": 10, "test": 10},
        limit=100, epochs=1, work=tmp_path, quick=True, tensorflow_python=python,
        torch_python=python,
    )  # fmt: skip
    questions = (study, preparing, startup, growth, step, measures)
    return [task for question in questions for task in question.tasks(setting)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.words)
def test_every_target_is_measured_by_some_case(target: Target, tasks: Sequence[Task]) -> None:
    """A side that was renamed would leave its target unmeasured for ever."""
    cases: dict[str, set[str]] = {}
    for each in tasks:
        if each.question == target.question and each.case.startswith(target.case):
            cases.setdefault(each.case, set()).add(each.side)
    wanted = {target.side, target.over} - {None}
    assert sum(wanted <= sides for sides in cases.values()) == 1


def test_sides_can_be_chosen_and_a_misspelt_one_is_told(tmp_path: Path) -> None:
    """Else hours go to sides that nobody asked for, or to none."""
    script = Path(measures.__file__).parent / "bench.py"
    out = tmp_path / "bench.json"
    data = write_pictures(tmp_path / "data", {"cat": 10, "dog": 10})
    command = [
        sys.executable, str(script), "--data", str(data), "--only", "startup", "--limit", "20",
        "--repetitions", "1", "--out", str(out), "--side",
    ]  # fmt: skip

    def asked(side: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, side], capture_output=True, text=True, check=False)

    assert asked("python -c pass").returncode == 0
    assert [m["side"] for m in json.loads(out.read_text())["measurements"]] == ["python -c pass"]
    misspelt = asked("python -c")
    assert misspelt.returncode == 1
    assert stated(misspelt.stderr, "'python -c'", "startup", "'python -c pass'")[-3:] == [
        *("'python -c'", "startup", "'python -c pass'"),
    ]


def test_every_script_of_a_side_is_there(tasks: Sequence[Task], tmp_path: Path) -> None:
    quick = [each for each in tasks if each.side != "headtohead report"]  # that one makes a study
    scripts = [word for t in quick for word in t.command(tmp_path) if word.endswith(".py")]
    assert len(scripts) > 20
    assert [path for path in scripts if not Path(path).is_file()] == []


# Each in a process of its own that has imported everything.
EACH_RUNG = """
import os, sys
peers, rungs, *few = sys.argv[1:]
sys.path.insert(0, peers)
import step_rung
for rung in range(int(rungs)):
    child = os.fork()
    if not child:
        sys.argv = ["step_rung.py", *few, "--rung", str(rung)]
        step_rung.main()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_every_rung_of_the_ladder_trains_the_same_network() -> None:
    """Else a measure's gain is another network's, or a rung is measured that nobody can reach.

    Rounding differs, and Adam's first steps are as long for a gradient that is all rounding.
    """
    peers = Path(measures.__file__).parent / "peers"
    few = ["--head", "fc_dropout", "--batch", "10", "--steps", "1"]
    done = subprocess.run(
        [sys.executable, "-c", EACH_RUNG, str(peers), str(len(measures.RUNGS)), *few],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    losses = [json.loads(line)["last_loss"] for line in done.stdout.splitlines()]
    assert len(losses) == len(measures.RUNGS)
    assert losses == pytest.approx([losses[0]] * len(losses), rel=0.02)


def write_history(folder: Path, seconds: Sequence[float]) -> None:
    folder.mkdir(parents=True)
    lines = [
        EpochRecord(
            epoch=number + 1, loss=0, accuracy=0, train_loss=0, train_accuracy=0, val_loss=0,
            val_accuracy=0.5 + number / 10, seconds=each, cpu_seconds=each / 2,
            pictures_per_second=1,
        ).model_dump_json() + "\n"
        for number, each in enumerate(seconds)
    ]  # fmt: skip
    (folder / "history.jsonl").write_text("".join(lines), "utf-8")


def test_the_span_of_training_leaves_out_what_comes_before_and_after(tmp_path: Path) -> None:
    """Else two workers are judged by the parts of a study that one core does."""
    for seed, ended in ((0, 1000.0), (1, 1004.0)):
        folder = tmp_path / "runs" / "gap" / f"seed-{seed}"
        write_history(folder, [2.0, 4.0])
        os.utime(folder / "history.jsonl", (ended, ended))
    found = growth.training(tmp_path)
    assert found == {"training_cpu_seconds": 6.0, "training_span_seconds": 10.0}
    with pytest.raises(FileNotFoundError):
        growth.training(tmp_path / "none")


def test_accuracies_are_those_after_the_last_epoch(tmp_path: Path) -> None:
    """They are the proof that every side trained as long as the others."""
    for head in HEADS:
        write_history(tmp_path / "out" / "runs" / head / "seed-0", [1.0, 1.0])
    found = study.our_accuracies(tmp_path)
    assert found == {f"validation_accuracy_{head}": 0.6 for head in HEADS}


def test_a_study_that_cannot_be_made_says_why(tmp_path: Path, tasks: Sequence[Task]) -> None:
    """`report` needs a finished study; without its words nobody knows what to mend."""
    report = next(each for each in tasks if each.side == "headtohead report")
    outcome = measure(report, 0)
    assert isinstance(outcome, Failure)
    assert str(tmp_path) in outcome.words
