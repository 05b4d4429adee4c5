"""Which recipe the study `standard` has: measured at 200, 1,000 and 5,000 photographs.

    python benchmarks/standard_recipe.py --data FOLDER --processes 2

Every recipe of RECIPES trains every head with every seed on each number of photographs, without
probes. Prints a Markdown table: mean validation accuracy over heads and seeds, the lowest head's
mean, by how much running training accuracy exceeds the evaluated one (mean and largest over
heads), and training images seen a run. Validation alone: the test split is not looked at.
"""

import argparse
import itertools
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from headtohead.config.study_files import resolve_study
from headtohead.core.system import cache_folder
from headtohead.data.pipeline import prepare_study, split_study

RECIPES: dict[str, dict[str, Any]] = {
    f"batch {batch}, {steps} steps, {schedule}{', flip' if flip else ''}": {
        "batch_size": batch,
        "epochs": 10,
        "min_steps": steps,
        "schedule": schedule,
        "warmup": 0.05 if schedule == "cosine" else None,
        "augment": {"flip": flip},
    }
    for batch, steps, (schedule, flip) in itertools.product(
        (16, 32, 64),
        (300, 600, 1200),
        (("constant", False), ("cosine", False), ("cosine", True)),
    )
}
SIZES = (200, 1000, 5000)


def measure(task: tuple[str, int, str, str, int, str]) -> tuple[float, float, float, int]:
    """Validation, running and evaluated training accuracy of the last epoch; images seen."""
    from headtohead.training.device import choose_device, set_up_worker
    from headtohead.training.inputs import Pictures
    from headtohead.training.plans import RunPlan
    from headtohead.training.run import train

    data, size, name, head, seed, where = task
    spec = resolve_study(
        "standard", data=data, heads="fc,fc_dropout,gap", pictures={"limit": size}
    ).model_copy(update={"recipe": recipe_of(name)})
    _, prepared = prepare_study(spec, cache=cache_folder(None), progress=lambda *_: None)
    split = split_study(spec, prepared, seed)
    spec = spec.for_images(len(split.train))
    device = choose_device(where)
    set_up_worker(None, device, deterministic=False)
    plan = RunPlan(
        key="",
        head=head,
        seed=seed,
        head_spec=spec.heads[head],
        backbone=spec.backbone,
        recipe=spec.recipe_for(head),
        image_size=spec.pictures.image_size,
        classes=len(prepared.classes),
    )
    pictures = Pictures(prepared.images, prepared.labels, device)

    class Last:
        def start(self, epochs: int) -> None: ...
        def step(self, epoch: int, done: int, pictures: int) -> None: ...
        def note(self, message: str) -> None: ...
        def epoch(self, record: Any) -> None:
            self.record = record

    last = Last()
    with tempfile.TemporaryDirectory() as folder:
        train(plan, pictures, split, Path(folder), last)
    record = last.record
    seen = plan.recipe.epochs * plan.recipe.steps(len(split.train)) * plan.recipe.batch_size
    return record.val_accuracy, record.accuracy, record.train_accuracy, seen


def recipe_of(name: str) -> Any:
    """The recipe as a study has it."""
    from headtohead.config.recipe import RecipeSpec

    return RecipeSpec.model_validate(RECIPES[name])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--heads", default="fc,fc_dropout,gap")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[""], help="Recipes that hold such a text.")
    parser.add_argument("--log", type=Path, help="File that gets a line for each run, at once.")
    asked = parser.parse_args()
    heads, seeds = asked.heads.split(","), range(asked.seeds)
    names = [name for name in RECIPES if any(part in name for part in asked.only)]
    for size in asked.sizes:  # prepared once, not by every process
        spec = resolve_study("standard", data=asked.data, pictures={"limit": size})
        prepare_study(spec, cache=cache_folder(None), progress=lambda *_: None)
    tasks = [
        (asked.data, size, name, head, seed, asked.device)
        for size in asked.sizes
        for name in names
        for head in heads
        for seed in seeds
    ]
    print("| photographs | recipe | validation % | lowest head % | running - evaluated, points |"
          " largest | images seen |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        results = []
        for task, values in zip(tasks, pool.map(measure, tasks), strict=True):
            results.append(values)
            if asked.log:
                with asked.log.open("a", encoding="utf-8") as file:
                    print(*task[1:5], *values, sep="\t", file=file)
    found = np.array(results)
    table = found.reshape(len(asked.sizes), len(names), len(heads), len(seeds), 4).mean(3)
    for size, rows in zip(asked.sizes, table, strict=True):
        for name, values in zip(names, rows, strict=True):
            gap = 100 * (values[:, 1] - values[:, 2])
            print(
                f"| {size} | {name} | {100 * values[:, 0].mean():.1f} | "
                f"{100 * values[:, 0].min():.1f} | {gap.mean():.1f} | {gap.max():.1f} | "
                f"{values[0, 3]:.0f} |"
            )


if __name__ == "__main__":
    main()
