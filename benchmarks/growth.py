"""How does headtohead's time grow: with images, with image size, and on a second worker?

Whole studies from a cold start, so that what does not grow is in the numbers. Beside them stand
the epochs alone, from the ledger: their CPU seconds, and the span from the first run's first step
to the last run's last epoch, in which nothing but training goes on.
"""

import sys
from pathlib import Path

from headtohead.store.records import HISTORY, read_history
from measuring import Task
from setting import Setting
from targets import ONE_WORKER, TWO_WORKERS

FACTORS = (1, 2, 4)
SIZES = (50, 100, 200)
SEEDS = 2


def tasks(setting: Setting) -> list[Task]:
    """Three cases, each against its smallest or slowest side."""
    base = setting.limit // FACTORS[-1]
    pictures = [
        _task(setting, "pictures, one head, one worker", f"{factor} × {base}",
              {"--limit": factor * base, "--workers": 1}, 1)
        for factor in FACTORS
    ]  # fmt: skip
    workers = [
        _task(setting, f"2 heads × {SEEDS} seeds, {setting.limit} pictures", side,
              {"--limit": setting.limit, "--heads": "gap,fc", "--seeds": SEEDS, "--workers": count},
              2 * SEEDS)
        for count, side in ((1, ONE_WORKER), (2, TWO_WORKERS))
    ]  # fmt: skip
    sizes = [
        _task(setting, f"image size, one head, one worker, {2 * base} pictures",
              f"{size} × {size}", {"--limit": 2 * base, "--image-size": size, "--workers": 1}, 1)
        for size in SIZES
    ]  # fmt: skip
    return [*pictures, *workers, *sizes]


def _task(setting: Setting, case: str, side: str, options: dict[str, object], runs: int) -> Task:
    chosen: dict[str, object] = {"--heads": "gap", "--seeds": 1, **options}
    words = [str(word) for pair in chosen.items() for word in pair]

    def command(scratch: Path) -> list[str]:
        return [
            sys.executable, "-m", "headtohead", "compare", "--data", str(setting.data), *words,
            "--epochs", str(setting.epochs), "--device", "cpu", "--out", str(scratch / "out"),
        ]  # fmt: skip

    limit = int(str(chosen["--limit"]))
    trained = int(0.8 * limit) * setting.epochs * runs
    return Task("growth", case, side, command, trained, lambda scratch: training(scratch / "out"))


def training(out: Path) -> dict[str, float]:
    """CPU seconds and span of the epochs of the study in `out`, their evaluation included.

    A history is written to last when its last epoch is over; its epochs follow one another.
    """
    cpu, began, ended = 0.0, [], []
    for path in sorted(out.glob(f"runs/*/*/{HISTORY}")):
        epochs = read_history(path.parent)
        cpu += sum(epoch.cpu_seconds for epoch in epochs)
        ended.append(path.stat().st_mtime)
        began.append(ended[-1] - sum(epoch.seconds for epoch in epochs))
    if not ended:
        raise FileNotFoundError(f"no run in {out} has a {HISTORY}")
    return {"training_cpu_seconds": cpu, "training_span_seconds": max(ended) - min(began)}
