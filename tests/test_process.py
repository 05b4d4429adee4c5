"""Processes that get ready early: they answer, are taken once, and none is left behind."""

import sys

import pytest

from headtohead.core.errors import RunError
from headtohead.core.processes import Message, Process
from headtohead.runtime.process import StandbyProcesses

ANSWERS = """
import json, os, sys
question = json.loads(sys.stdin.readline())
def say(**event):
    print(json.dumps(event), flush=True)
say(event="answer", asked=question["asked"], id=os.getpid())
for line in sys.stdin:
    say(event="again", **json.loads(line))
"""


def standby(code: str = ANSWERS, again: Message | None = None) -> StandbyProcesses:
    return StandbyProcesses([sys.executable, "-c", code], {"asked": "so?"}, again=again)


def end(process: Process) -> None:
    process.kill()
    process.close()


def test_the_first_recruit_answers_and_goes_on() -> None:
    """Else the process that was asked is lost, and another one has to be started."""
    with standby() as waiting:
        answer = waiting.answer()
        assert answer["asked"] == "so?"
        first = waiting.take()
        first.send({"word": 1})
        assert next(first.events()) == {"event": "again", "word": 1}
        end(first)


def test_only_the_first_is_asked_for_an_answer() -> None:
    """Else each worker opens a context on the first GPU, whose memory large studies need."""
    with standby(again={"asked": "ready?"}) as waiting:
        assert waiting.answer()["asked"] == "so?"
        end(waiting.take())
        for _ in range(2):
            later = waiting.take()
            assert next(later.events())["asked"] == "ready?"
            end(later)


def test_who_waits_is_taken_before_another_is_started() -> None:
    """Else workers start when there is work for them, and the study waits for their imports."""
    with standby() as waiting:
        first = waiting.answer()["id"]
        waiting.start(2)
        taken = [waiting.take() for _ in range(3)]
        assert len({first, *(next(late.events())["id"] for late in taken[1:])}) == 3
        for process in taken:
            end(process)


def test_nobody_who_waits_is_left_behind() -> None:
    """Else processes with gigabytes of memory stay when the command is over, or broke off."""
    with standby() as waiting:
        waiting.start(2)
        kept = waiting.take()
        left = list(waiting._waiting)
    assert all(process.is_dead() for process in left)
    assert not kept.is_dead()
    end(kept)


def test_a_death_instead_of_an_answer_is_told() -> None:
    """Else a broken installation looks like a study that never begins."""
    with standby("import sys; sys.exit(3)") as waiting, pytest.raises(RunError, match="code 3"):
        waiting.answer()


def test_a_process_ends_with_its_input() -> None:
    """Else workers outlive a command that was killed."""
    process = Process([sys.executable, "-c", ANSWERS])
    process.send({"asked": 1})
    assert next(process.events())["asked"] == 1
    process.close()
    assert process.death() == "exit code 0"
