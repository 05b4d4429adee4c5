"""Is headtohead as fast as it was at an earlier commit? Training steps and a whole study by turns.

    git worktree add ../before -d COMMIT
    python benchmarks/before_after.py --before ../before --data FOLDER [--rounds N]

Both sides run with this environment's packages. The steps are those of `peers/step_headtohead.py`
of each checkout; the study is the article's three heads, one seed, with moving averages of batch
norm on both sides, since the earlier one may know no other. Another side goes first in each round.
Ratios are taken within a round: medians with least and greatest, as Markdown.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from measuring import Measurement, Task, interleaved
from same_files import copy_photographs
from tables import case_table
from targets import HEADS

HERE = Path(__file__).resolve().parent.parent
AFTER, BEFORE = "after", "before"
BATCH, STEPS = 64, 40


def step_task(head: str, side: str, checkout: Path) -> Task:
    """Steps of one head, timed by the process itself."""
    script = checkout / "benchmarks" / "peers" / "step_headtohead.py"
    words = [str(script), "--head", head, "--batch", str(BATCH), "--steps", str(STEPS)]
    return Task("step", f"{STEPS} steps of {head}", side, lambda _: python(checkout, words))


def study_task(side: str, checkout: Path, study: Path, images: int) -> Task:
    """The whole command, from JPEG files to the report."""

    def command(scratch: Path) -> list[str]:
        words = ["-m", "headtohead", "compare", str(study), "--device", "cpu"]
        return python(checkout, [*words, "--out", str(scratch / "out")])

    return Task("study", f"study of {images} photographs", side, command)


def python(checkout: Path, words: list[str]) -> list[str]:
    """A command with the package of that checkout."""
    return ["env", f"PYTHONPATH={checkout / 'src'}", sys.executable, *words]


def study_file(folder: Path, side: str, photographs: Path, epochs: int, extra: str) -> Path:
    """What both sides train."""
    path = folder / f"{side}.yaml"
    path.write_text(
        f"name: {side}\ndata: {photographs}\npictures: {{image_size: 100, limit: null}}\n"
        f"heads: [{', '.join(HEADS)}]\nseeds: 1\n"
        f"recipe: {{epochs: {epochs}, batch_size: 64{extra}}}\n",
        encoding="utf-8",
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of that commit")
    parser.add_argument("--data", type=Path, required=True, help="two folders of photographs")
    parser.add_argument("--limit", type=int, default=2000, help="photographs")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    checkouts = {AFTER: HERE, BEFORE: options.before.resolve()}
    with tempfile.TemporaryDirectory(prefix="before-after-") as name:
        folder = Path(name)
        photographs = folder / "photographs"
        copy_photographs(options.data, photographs, options.limit)
        extra = {AFTER: ", batch_norm: moving", BEFORE: ""}
        tasks = [step_task(head, *side) for head in HEADS for side in checkouts.items()]
        for side, checkout in checkouts.items():
            study = study_file(folder, side, photographs, options.epochs, extra[side])
            tasks.append(study_task(side, checkout, study, options.limit))
        outcomes = []
        for outcome in interleaved(tasks, options.rounds):
            if not isinstance(outcome, Measurement):
                raise SystemExit(f"{outcome.case}, {outcome.side}: {outcome.words}")
            outcomes.append(outcome)
            print(outcome.case, outcome.side, f"{outcome.cpu_seconds:.2f} CPU s", file=sys.stderr)
    for case in dict.fromkeys(outcome.case for outcome in outcomes):
        print(f"\n{case}\n\n{case_table([o for o in outcomes if o.case == case], [BEFORE])}")


if __name__ == "__main__":
    main()
