"""A run's model for other programs: written, proved there, and only then put in its place.

Beside FILE lie its model card, FILE.md, and, where another program runs it, the script that proved
it. Nothing is left where the proof fails.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.run_results import RunResult
from headtohead.core.errors import RunError, UsageError
from headtohead.core.files import expanded, see_suffix, write_atomic
from headtohead.deploy.card import Use, card, metadata_of
from headtohead.deploy.image_files import Pixels
from headtohead.deploy.runs import chosen, load_model, temperature_of
from headtohead.deploy.shipped_scripts import script_alone
from headtohead.report.summary import Summary
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData

if TYPE_CHECKING:
    import torch

    from headtohead.heads.classifier import Classifier

TOLERANCE = 1e-4
"""By how much a probability may differ from the original's; labels must all be equal."""

RESIZED_TOLERANCE = 0.01
"""The same where the copy resizes: a pixel may differ by 1 of 255. Labels must be equal where the
original's two likeliest classes lie further apart than twice that."""

MOSAICS, MOSAIC_BYTES = 32, 100_000_000
"""At most so many images of another size, of six test images each, on which resizing is proved."""

PATIENCE = 600
"""Seconds that a proof may take."""

_ALONE = (
    "import runpy, sys; sys.modules['headtohead'] = None; sys.argv = sys.argv[1:]; "
    "sys.path.insert(0, ''); runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Runs a script in a process in which headtohead cannot be imported."""


@dataclass(frozen=True)
class Subject:
    """What is exported: a run's model, by PyTorch's own kernels on the CPU, and its metadata."""

    ledger: Ledger
    run: RunResult
    model: "Classifier"
    temperature: float
    metadata: dict[str, str]


@dataclass(frozen=True)
class Format:
    """How a format is written, what it takes and gives in words, and which script runs it.

    Its files' names end in `suffix`; where `noted`, its metadata lie in FILE.json. `calibrated`:
    the temperature is within. One that `resizes` takes images of any size, others prepared ones.
    """

    suffix: str
    write: Callable[[Subject, Path], None]
    script: str | None
    takes: str
    gives: str
    calibrated: bool
    resizes: bool = False
    noted: bool = False


def export(
    data: StudyData,
    summary: Summary,
    form: str,
    out: str | Path,
    *,
    head: str | None = None,
    seed: int | None = None,
    trust: Collection[str] = (),
) -> list[Path]:
    """Write a run's model to `out` in a format of FORMATS; the files that were written.

    By default the winner's. Raises UsageError for another suffix than the format's, for what it
    cannot take or a package that is not installed, RunError where the proof fails, and as
    `headtohead.deploy.runs` says.
    """
    place, known = expanded(out), FORMATS[form]
    see_suffix(place, f"a file of the format {form}", known.suffix)
    (which,) = chosen(summary, head, seed)
    run = next(r for r in summary.runs if (r.head, r.seed) == which)
    model = load_model(data.ledger, *which, device="cpu", trust=trust, plain=True)
    temperature, fitted_on = temperature_of(data, *which)
    subject = Subject(data.ledger, run, model, temperature, metadata_of(summary, run, temperature))
    images, source = _images(data, run.seed)
    with tempfile.TemporaryDirectory(prefix="headtohead-") as name:
        made = Path(name) / place.name
        known.write(subject, made)
        script = None if known.script is None else _script(known.script, Path(name))
        proof = _prove(subject, known, made, script, images, source)
        use = Use(place.name, known.takes, known.gives, known.script, known.calibrated, fitted_on)
        told = beside(made, ".md")
        told.write_text(card(summary, run, subject.metadata, use, proof), encoding="utf-8")
        files = [made, *([beside(made, ".json")] if known.noted else []), told]
        written = []
        for file in [*files, *([] if script is None else [script])]:
            write_atomic(place.parent / file.name, file.read_bytes())
            written.append(place.parent / file.name)
    return written


def beside(file: Path, ending: str) -> Path:
    """FILE.md of FILE: the whole name, so that a card takes no other file's place."""
    return file.with_name(f"{file.name}{ending}")


def _images(data: StudyData, seed: int) -> tuple[Pixels, str]:
    """Test images of the run's split, as they were prepared.

    Raises UsageError where the ledger has none: an export that is not proved is none.
    """
    found = data.images(seed)
    if found is None or not len(found.pixels):
        raise UsageError(
            f"an export is proved on test images of the study, and {data.out} holds none: run "
            f"`headtohead compare` again, which collects them."
        )
    return found.pixels, f"{len(found.pixels)} test images of the study"


def _prove(
    subject: Subject, form: Format, made: Path, script: Path | None, images: Pixels, source: str
) -> str:
    """What was compared, in words. Raises RunError where the copy is not the original."""
    wanted = _original(subject, images, calibrated=form.calibrated)
    if script is None:
        found, where = _reloaded(subject, made, images), "read back by headtohead"
    else:
        found, where = _elsewhere(made, script, images), f"run by {script.name} without headtohead"
    apart = _compare(found, wanted, source, TOLERANCE, 0.0)
    told = (
        f"On {source}, {where}: all {len(images)} labels equal those of the original, "
        f"probabilities differ by at most {apart:.2g} (allowed: {TOLERANCE:g})."
    )
    return f"{told} {_prove_resizing(subject, made, script, images)}" if form.resizes else told


def _prove_resizing(subject: Subject, made: Path, script: Path | None, images: Pixels) -> str:
    """The same on images of another size, which the copy resizes by itself."""
    from headtohead.data.resize import resize

    assert script is not None  # noqa: S101 - what resizes is run by a script
    side = int(subject.metadata["image_size"])
    large = mosaics(images)
    prepared = [resize(one, (side, side), subject.metadata["resize"]) for one in large]
    wanted = _original(subject, np.stack(prepared), calibrated=True)
    size = f"{large.shape[1]} × {large.shape[2]} pixels"
    source = f"{len(large)} images of {size}, each of six of these, resized by the graph"
    found = _elsewhere(made, script, large)
    apart = _compare(found, wanted, source, RESIZED_TOLERANCE, 2 * RESIZED_TOLERANCE)
    return (
        f"On {source}: probabilities differ by at most {apart:.2g} (allowed: "
        f"{RESIZED_TOLERANCE:g}), labels nowhere but between classes that are closer than twice "
        f"that."
    )


def mosaics(images: Pixels) -> Pixels:
    """(n, 2 side, 3 side, 3) of six images each, taken in turn: real detail at another size."""
    room = max(1, MOSAIC_BYTES // (6 * images[0].nbytes))
    count = min(MOSAICS, max(1, len(images) // 6), room)
    six = images[np.arange(6 * count) % len(images)].reshape(count, 2, 3, *images.shape[1:])
    rows = six.transpose(0, 1, 3, 2, 4, 5)
    side = images.shape[1]
    return np.ascontiguousarray(rows.reshape(count, 2 * side, 3 * side, 3))


def _compare(
    found: NDArray[np.float64],
    wanted: NDArray[np.float64],
    source: str,
    tolerance: float,
    close: float,
) -> float:
    """By how much probabilities differ at most; classes within `close` may change places.

    Raises RunError for more than `tolerance`, or another label.
    """
    if found.shape != wanted.shape or not np.isfinite(found).all():
        raise RunError(f"the export gives {found.shape} numbers where {wanted.shape} belong.")
    apart = float(np.abs(found - wanted).max())
    ranked = np.sort(wanted, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > close if close else np.ones(len(wanted), bool)
    others = int((clear & (found.argmax(axis=1) != wanted.argmax(axis=1))).sum())
    if apart > tolerance or others:
        raise RunError(
            f"the export is not the original: probabilities differ by up to {apart:.2g} (allowed: "
            f"{tolerance:g}) and {others} of {len(wanted)} labels on {source}. Nothing was written."
        )
    return apart


def _original(subject: Subject, images: Pixels, *, calibrated: bool) -> NDArray[np.float64]:
    from headtohead.deploy.predictor import logits_of_each
    from headtohead.stats.metrics import probabilities

    scale = subject.temperature if calibrated else 1.0
    (logits,) = logits_of_each([subject.model], images)
    return probabilities(logits / scale)


def _elsewhere(made: Path, script: Path, images: Pixels) -> NDArray[np.float64]:
    """What the shipped script says, in a process that cannot import headtohead."""
    np.save(made.parent / "images.npy", images)
    command = [sys.executable, "-I", "-c", _ALONE, str(script), str(made), "--array"]
    try:
        done = subprocess.run(
            [*command, str(made.parent / "images.npy")],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "torch")},
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"the export does not answer by {script.name} on {len(images)} images within "
            f"{PATIENCE:g} s. Nothing was written: try again when the machine does less."
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"the export does not run by {script.name}: {last[:300]}")
    return np.asarray(json.loads(done.stdout.strip().splitlines()[-1]), np.float64)


def _reloaded(subject: Subject, made: Path, images: Pixels) -> NDArray[np.float64]:
    """What a new model with the weights of the file says."""
    import safetensors.torch

    from headtohead.deploy.predictor import logits_of_each
    from headtohead.stats.metrics import probabilities
    from headtohead.training.checkpoint import within
    from headtohead.training.plans import run_plan, untrained

    plan = run_plan(subject.ledger, subject.run.head, subject.run.seed)
    state = safetensors.torch.load_file(made)
    model = untrained(plan, state)
    for prefix, part in _parts(model).items():
        part.load_state_dict(within(state, prefix))
    (logits,) = logits_of_each([model], images)
    return probabilities(logits)


def _script(name: str, folder: Path) -> Path:
    place = folder / name
    place.write_text(script_alone(name), encoding="utf-8")
    return place


def _write_onnx(subject: Subject, made: Path) -> None:
    """By `torch.onnx` (needs headtohead[export]); metadata in the file's properties."""
    import logging
    import warnings

    import torch

    from headtohead.deploy.onnx_resize import resize_first
    from headtohead.training.serving import Shipped

    onnx = _needed("onnx", "onnxscript", "onnxruntime")
    if not subject.model.head.exportable:
        raise UsageError(f"head {subject.run.head} does not support ONNX: use another --format.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations within the exporter
        # It warns of packages that are missing and not needed, as torchvision.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            Shipped(subject.model, subject.temperature),
            (_example(subject),),
            dynamo=True,
            input_names=["prepared"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            external_data=False,
            verbose=False,
        )
    assert program is not None  # noqa: S101 - with `dynamo` there is one
    proto = program.model_proto
    side, method = int(subject.metadata["image_size"]), subject.metadata["resize"]
    resize_first(onnx, proto, "prepared", side, method)
    onnx.helper.set_model_props(proto, subject.metadata)
    onnx.save(proto, made)


def _write_torch(subject: Subject, made: Path) -> None:
    """By `torch.export`."""
    import torch

    from headtohead.training.serving import Shipped

    program = torch.export.export(
        Shipped(subject.model, subject.temperature),
        (_example(subject),),
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
    )
    extra = {"metadata.json": json.dumps(subject.metadata)}
    torch.export.save(program, made, extra_files=extra)


def _write_safetensors(subject: Subject, made: Path) -> None:
    """The weights alone, under the names of the model's parts; a frozen backbone's, too."""
    import safetensors.torch

    state = {
        prefix + name: value.contiguous()
        for prefix, part in _parts(subject.model).items()
        for name, value in part.state_dict().items()
    }
    safetensors.torch.save_file(state, made, metadata=subject.metadata)


def _parts(model: "Classifier") -> "dict[str, torch.nn.Module]":
    """What holds the weights, by the beginning of their names, whatever of it was trained."""
    from headtohead.backbones.frozen import Held

    backbone = model.backbone
    while isinstance(backbone, Held):
        backbone = backbone.trunk
    return {"backbone.": backbone, "head.": model.head}


def _write_keras(subject: Subject, made: Path) -> None:
    """The tutorial's own stack, where backbone and head are the tutorial's."""
    from headtohead.deploy.keras_twin import write_keras

    write_keras(subject.model, subject.run.head, subject.metadata, made)


def _example(subject: Subject) -> "torch.Tensor":
    """Two images: of a batch of one, exporters take the batch for fixed."""
    import torch

    side = int(subject.metadata["image_size"])
    return torch.zeros((2, side, side, 3), dtype=torch.uint8)


def _needed(*packages: str) -> Any:
    """The first of `packages`; raises UsageError where one of them is missing."""
    import importlib

    try:
        found = [importlib.import_module(package) for package in packages]
    except ImportError as error:
        raise UsageError(
            f"this format takes {', '.join(packages)}, which cannot be imported ({error}): "
            f"pip install 'headtohead[export]'."
        ) from None
    return found[0]


_PREPARED = "RGB images as the study prepared them, (N, side, side, 3) uint8, any N"
_SHARES = "probabilities (N, classes)"

FORMATS: Mapping[str, Format] = {
    "onnx": Format(
        ".onnx", _write_onnx, "run_onnx.py",
        "upright RGB images of any size, (N, height, width, 3) uint8, any N", _SHARES,
        calibrated=True, resizes=True,
    ),
    "torch": Format(".pt2", _write_torch, "run_torch.py", _PREPARED, _SHARES, calibrated=True),
    "safetensors": Format(
        ".safetensors", _write_safetensors, None,
        "images (N, 3, side, side) in [0, 1], in a model of headtohead's parts: these are its "
        "weights alone", "logits: one for two classes, else one for each", calibrated=False,
    ),
    "keras": Format(
        ".keras", _write_keras, "run_keras.py",
        "images as the study prepared them, (N, side, side, 3), as floats in [0, 1]",
        "the tutorial's outputs: the probability of the second of two classes, else of each",
        calibrated=False, noted=True,
    ),
}  # fmt: skip
