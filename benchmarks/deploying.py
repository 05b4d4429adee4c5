"""What a photograph costs where the winner serves: CPU milliseconds, one thread each, side by side.

    python benchmarks/deploying.py DIR PHOTOGRAPHS [--rounds 3] [--images 64]

DIR is a finished study, PHOTOGRAPHS a folder. Needs onnx, onnxruntime and onnxscript beside
headtohead. Sides take turns, a few rounds; the least of the rounds stands in the table, for what a
busy machine adds is no side's own. CPU time of threads and child processes counts; starting and
loading do not.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

import headtohead
from headtohead.data.resize import resize_image
from headtohead.deploy.export import export
from headtohead.deploy.predictor import Predictor
from headtohead.result import Comparison
from headtohead.study_data import StudyData
from headtohead.training.serving import Shipped

BATCH = 32

Side = Callable[[Sequence[Path]], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in asked.photographs.rglob("*") if _decodes(path))
    paths = paths[:: max(1, len(paths) // asked.images)][: asked.images]
    with tempfile.TemporaryDirectory() as name:
        every = sides(headtohead.load(asked.study), Path(name))
        for side in every.values():
            side(paths[:4])  # loads, traces, allocates
        found = {title: _least(side, paths, asked.rounds) for title, side in every.items()}
    bare = found["bare decoder"]
    print("| side | CPU ms per photograph | photographs per CPU second | times the bare decoder |")
    print("|---|---|---|---|")
    for title, seconds in found.items():
        each = seconds / len(paths)
        print(f"| {title} | {1000 * each:.2f} | {1 / each:.0f} | {seconds / bare:.2f} |")


def sides(study: Comparison, folder: Path) -> dict[str, Side]:
    """The bare decoder, and three ways from files to probabilities."""
    predictor = study.predictor(device="cpu")
    return {
        "bare decoder": _decode,
        "headtohead predict": lambda paths: _predict(predictor, paths),
        "PyTorch by hand": _by_hand(predictor),
        "ONNX Runtime, resizing in the graph": _onnx(study, folder),
    }


def _decode(paths: Sequence[Path]) -> None:
    for path in paths:
        _pixels(path)


def _pixels(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _predict(predictor: Predictor, paths: Sequence[Path]) -> None:
    """As the command does, with one decoding process."""
    answers = predictor.answers(paths, on_unreadable=lambda read: None, workers=1)
    assert sum(1 for _ in answers) == len(paths)


def _by_hand(predictor: Predictor) -> Side:
    """Pillow and the same network in PyTorch, as most people write it."""
    (member,) = predictor.members
    side, method = predictor.image_size, predictor.resize
    network = Shipped(member.model, member.temperature)

    def run(paths: Sequence[Path]) -> None:
        with torch.inference_mode():
            for first in range(0, len(paths), BATCH):
                images = [
                    np.asarray(resize_image(_pixels(path), (side, side), method))
                    for path in paths[first : first + BATCH]
                ]
                network(torch.from_numpy(np.stack(images)))

    return run


def _onnx(study: Comparison, folder: Path) -> Side:
    """The exported model, a photograph at a time in its own size."""
    model, *_ = export(StudyData(study.ledger), study.summary, "onnx", folder / "m.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(paths: Sequence[Path]) -> None:
        for path in paths:
            session.run(None, {"images": np.asarray(_pixels(path))[None]})

    return run


def _least(side: Side, paths: Sequence[Path], rounds: int) -> float:
    """CPU seconds of the best round, of this process and its children."""
    return min(_cpu(side, paths) for _ in range(rounds))


def _cpu(side: Side, paths: Sequence[Path]) -> float:
    before = os.times()
    side(paths)
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def _decodes(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        _pixels(path)
    except (OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
