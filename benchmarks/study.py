"""How long does the whole study take, from files on disk to what compares the heads?

The article's three heads, one seed, the same photographs, splits, epochs and batch size. Each side
does what its users do: headtohead also evaluates a training sample and the test split, keeps
weights, probes the runs and draws its report; the others fit and validate. The article's script
writes TensorBoard events and a figure, too.
"""

import sys
from pathlib import Path

from measuring import OURS, Task
from setting import EXAMPLE, PEERS, Setting

HEADS = "fc,fc_dropout,avgpool2x2"


def tasks(setting: Setting) -> list[Task]:
    """One case, five sides."""
    trained = setting.counts["train"] * setting.epochs * len(HEADS.split(","))
    case = f"{setting.limit} photographs, {HEADS}, {setting.epochs} epochs, 1 seed"
    common = ["--data", str(setting.photographs), "--heads", HEADS, "--epochs", str(setting.epochs)]

    def peer(side: str, python: Path, script: Path, *, writes: bool = False) -> Task:
        def command(scratch: Path) -> list[str]:
            out = ["--out", str(scratch / "out")] if writes else []
            return [str(python), str(script), *common, "--seed", "0", *out]

        return Task("study", case, side, command, trained)

    def ours(scratch: Path) -> list[str]:
        return [
            sys.executable, "-m", "headtohead", "compare", *common,
            "--seeds", "1", "--device", "cpu", "--out", str(scratch / "out"),
        ]  # fmt: skip

    torch = setting.torch_python
    return [
        Task("study", case, OURS, ours, trained),
        peer("article's script, TensorFlow", setting.tensorflow_python, EXAMPLE, writes=True),
        peer("Keras on PyTorch", torch, PEERS / "keras_torch.py"),
        peer("PyTorch loop", torch, PEERS / "torch_loop.py"),
        peer("PyTorch Lightning", torch, PEERS / "lightning_trainer.py"),
    ]
