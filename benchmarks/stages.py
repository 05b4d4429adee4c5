"""Where a study on drawn images spends its processor time, stage by stage.

    python benchmarks/stages.py

Each stage of the study `quick` (or --study) is measured in small, in one process with one thread,
and computed for the whole study: an image drawn, a training step, a recomputation of batch-norm
statistics, an evaluated image, the probes of a run, and the report of a kept study (--report, a
study's folder, which is copied first). Images are random pixels where it does not matter what they
show. What starting the processes takes is not in it. Processor seconds are user and system time.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from headtohead.backbones.constants import BATCH_NORM_IMAGES
from headtohead.config.study import StudySpec
from headtohead.config.study_files import resolve_study
from headtohead.data.synthetic.source import DEFAULT_COUNT, draw_share
from headtohead.probes.class_maps import collect_class_maps
from headtohead.probes.costs import collect_costs
from headtohead.probes.probe_images import ProbeImages, margin_of
from headtohead.probes.speed import step_runner
from headtohead.probes.translation import collect_translation
from headtohead.report.render import render
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from headtohead.training import batch_norm
from headtohead.training.device import choose_device, set_up_worker
from headtohead.training.inference import loss_and_accuracy
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan
from headtohead.training.sample import FEWEST_SAMPLED

DRAWN, EVALUATED, STEPS, PROBED = 60, 500, 40, 96


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process, user and system."""
    start = time.process_time()
    work()
    return time.process_time() - start


def drawing() -> float:
    """Of one image."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        list(draw_share(place, [1], 0))  # what is imported on the way
        numbers = range(0, DEFAULT_COUNT, DEFAULT_COUNT // DRAWN)
        return cpu_seconds(lambda: list(draw_share(place, numbers, 0))) / len(numbers)


def reporting(folder: Path) -> float:
    """Of tables and page of the study that lies in `folder`."""
    with tempfile.TemporaryDirectory() as copy:
        place = Path(shutil.copytree(folder, Path(copy) / "study"))
        return cpu_seconds(lambda: render(StudyData(Ledger.open(place))))


def plan_of(spec: StudySpec, head: str) -> RunPlan:
    """A run of `head` on two classes."""
    return RunPlan(
        key="",
        head=head,
        seed=0,
        head_spec=spec.heads[head],
        backbone=spec.backbone,
        recipe=spec.recipe_for(head),
        image_size=spec.pictures.image_size,
        classes=2,
    )


def of_a_run(spec: StudySpec, head: str, counts: dict[str, int]) -> dict[str, float]:
    """Processor seconds of each stage of one run of `head`."""
    size, device = spec.pictures.image_size, choose_device("cpu")
    plan = plan_of(spec, head)
    recipe, train = plan.recipe, counts["train"]
    batch = recipe.batch(train)
    drawn = np.random.default_rng(0)
    statistics = np.arange(min(train, BATCH_NORM_IMAGES))
    total = max(len(statistics), EVALUATED)
    images = drawn.integers(0, 256, (total, size, size, 3), np.uint8)
    pictures = Pictures(images, drawn.integers(0, 2, total), device)
    runner = step_runner(plan, pictures, np.arange(batch))
    runner.step()  # libraries choose their kernels and take their memory
    step = cpu_seconds(lambda: [runner.step() for _ in range(STEPS)]) / STEPS
    model = runner.model
    recomputed = cpu_seconds(
        lambda: batch_norm.recompute_statistics(model, pictures, statistics, batch)
    )
    one = cpu_seconds(lambda: loss_and_accuracy(model, pictures, np.arange(EVALUATED))) / EVALUATED
    sample = min(train, max(counts["validation"], FEWEST_SAMPLED))
    each = sample + counts["validation"]
    margin = margin_of(size, int(model.backbone.stride))
    side = size + 2 * margin
    wide = drawn.integers(0, 256, (PROBED, side, side, 3), np.uint8)
    inner = np.ascontiguousarray(wide[:, margin : margin + size, margin : margin + size])
    shown = ProbeImages(np.arange(PROBED), np.arange(PROBED) % 2, inner, wide)
    probes = cpu_seconds(
        lambda: (
            collect_translation(model, shown, device),
            collect_class_maps(model, shown, device),
            collect_costs(plan),
        )
    )
    predictions = 2 * (counts["validation"] + counts["test"]) * one
    return {
        "training steps": recipe.epochs * recipe.steps(train) * step,
        "batch-norm statistics": recipe.epochs * recomputed,
        "evaluation": recipe.epochs * each * one,
        "probes": probes + predictions,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="quick")
    parser.add_argument("--report", type=Path, default=Path("docs/ledgers/drawn"))
    asked = parser.parse_args()
    spec = resolve_study(asked.study, data="synthetic")
    images = spec.pictures.limit or DEFAULT_COUNT
    split = spec.split
    shares = {"train": split.train, "validation": split.validation, "test": split.test}
    counts = {name: round(share * images) for name, share in shares.items()}
    spec = spec.for_images(counts["train"])
    set_up_worker(None, choose_device("cpu"), deterministic=False)
    torch.set_num_threads(1)
    found: dict[str, float] = {f"drawing {images:,} images": images * drawing()}
    for head in spec.heads:
        for stage, seconds in of_a_run(spec, head, counts).items():
            found[stage] = found.get(stage, 0.0) + spec.seeds * seconds
    found["tables and page"] = reporting(asked.report)
    whole = sum(found.values())
    print("| stage | CPU s | share, % |")
    print("|---|---|---|")
    for stage, seconds in (*found.items(), ("all of these", whole)):
        print(f"| {stage} | {seconds:.0f} | {100 * seconds / whole:.0f} |")


if __name__ == "__main__":
    main()
