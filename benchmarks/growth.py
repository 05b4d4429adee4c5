"""How does headtohead's time grow: with pictures, with image size, and on a second worker?

Whole studies from a cold start, so that what does not grow is in the numbers.
"""

import sys
from pathlib import Path

from measuring import Task
from setting import Setting

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
        _task(setting, f"2 heads × {SEEDS} seeds, {setting.limit} pictures",
              f"{count} worker{'s' * (count > 1)}",
              {"--limit": setting.limit, "--heads": "gap,fc", "--seeds": SEEDS, "--workers": count},
              2 * SEEDS)
        for count in (1, 2)
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
    return Task("growth", case, side, command, int(0.8 * limit) * setting.epochs * runs)
