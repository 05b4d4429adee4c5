"""How long does the whole study take, from files on disk to what compares the heads?

The article's three heads, one seed, the same photographs, splits, epochs and batch size. Each side
does what its users do: headtohead also evaluates a training sample and the test split, keeps
weights, probes the runs and draws its report; the others fit and validate. The article's script
writes TensorBoard events and a figure, too. Every side tells its last validation accuracies, so
that one that did less than the others shows.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from measuring import OURS, Task
from setting import EXAMPLE, PEERS, Setting
from targets import ARTICLE, ARTICLE_ONCE, HEADS, KERAS_TORCH, LIGHTNING, LOOP

COLD = f"{OURS}, first start"
"""Its kernels compiled anew, as on a machine that never trained with it."""


def tasks(setting: Setting) -> list[Task]:
    """One case, seven sides."""
    trained = setting.counts["train"] * setting.epochs * len(HEADS)
    case = f"{setting.limit} photographs, {', '.join(HEADS)}, {setting.epochs} epochs, 1 seed"
    common = ["--data", str(setting.photographs), "--heads", ",".join(HEADS)]
    common += ["--epochs", str(setting.epochs)]

    def ours(scratch: Path) -> list[str]:
        return [
            sys.executable, "-m", "headtohead", "compare", *common,
            "--seeds", "1", "--device", "cpu", "--out", str(scratch / "out"),
        ]  # fmt: skip

    def cold(scratch: Path) -> list[str]:
        return ["env", f"NUMBA_CACHE_DIR={scratch / 'kernels'}", *ours(scratch)]

    def article(keep: str) -> Callable[[Path], list[str]]:
        return lambda scratch: [
            str(setting.tensorflow_python), str(EXAMPLE), *common, "--seed", "0",
            "--keep", keep, "--out", str(scratch / "out"),
        ]  # fmt: skip

    def peer(script: str) -> Callable[[Path], list[str]]:
        return lambda scratch: [
            str(setting.torch_python), str(PEERS / script), *common, "--seed", "0"
        ]  # fmt: skip

    return [
        Task("study", case, OURS, ours, trained, our_accuracies),
        Task("study", case, COLD, cold, trained, our_accuracies),
        Task("study", case, ARTICLE, article("nothing"), trained, article_accuracies),
        Task("study", case, ARTICLE_ONCE, article("memory"), trained, article_accuracies),
        Task("study", case, KERAS_TORCH, peer("keras_torch.py"), trained),
        Task("study", case, LOOP, peer("torch_loop.py"), trained),
        Task("study", case, LIGHTNING, peer("lightning_trainer.py"), trained),
    ]


def our_accuracies(scratch: Path) -> Mapping[str, float]:
    return last_accuracies(scratch / "out" / "runs")


def article_accuracies(scratch: Path) -> Mapping[str, float]:
    return last_accuracies(scratch / "out")


def last_accuracies(runs: Path) -> dict[str, float]:
    """Of validation, after each head's last epoch. Raises OSError where a head has no history."""
    found = {}
    for head in HEADS:
        text = (runs / head / "seed-0" / "history.jsonl").read_text("utf-8")
        last = json.loads(text.splitlines()[-1])
        found[f"validation_accuracy_{head}"] = float(last["val_accuracy"])
    return found
