"""The probe stage of one run: whatever of its evidence is missing, from its finished weights."""

from collections.abc import Callable
from pathlib import Path

from headtohead.data.split import Split
from headtohead.heads.classifier import Classifier
from headtohead.probes.class_maps import collect_class_maps
from headtohead.probes.costs import collect_costs
from headtohead.probes.evidence import (
    ProbePictures,
    class_maps_path,
    costs_path,
    pictures_path,
    predictions_path,
    read_pictures,
    translation_path,
    write_class_maps,
    write_costs,
    write_predictions,
    write_translation,
)
from headtohead.probes.predictions import collect_predictions
from headtohead.probes.translation import collect_translation
from headtohead.runtime.jobs import Job, to_collect
from headtohead.store.ledger import Ledger
from headtohead.training import checkpoint
from headtohead.training.inputs import Pictures
from headtohead.training.run import BEST, RunPlan


def collect_missing(
    ledger: Ledger,
    job: Job,
    plan: RunPlan,
    pictures: Pictures,
    split: Split,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Collect what the finished run `job` lacks; its `plan` and `split` are the run's own.

    `note` is told what a user should know, such as class maps that are not what they claim to be.
    Raises DamagedCheckpointError where its weights are damaged and StorageError where the ledger
    cannot be written.
    """
    missing = to_collect(ledger, job)
    out, head, seed = ledger.out, job.head, job.seed
    folder = ledger.run_folder(head, seed)
    if "predictions" in missing:
        predictions = collect_predictions(plan, pictures, split, folder)
        write_predictions(predictions_path(out, head, seed), plan.key, predictions)
    if "costs" in missing:
        write_costs(costs_path(out, head, seed), plan.key, collect_costs(plan))
    chosen = _chosen(ledger, seed) if {"class_maps", "translation"} & set(missing) else None
    if chosen is None:
        return
    model, device = _best(plan, folder, pictures), pictures.device
    if "class_maps" in missing:
        maps = collect_class_maps(model, chosen, device)
        if maps.unfit is not None:
            note(f"its class maps are not exact, and are left out: {maps.unfit}")
        write_class_maps(class_maps_path(out, head, seed), plan.key, maps)
    if "translation" in missing:
        moved = collect_translation(model, chosen, device)
        write_translation(translation_path(out, head, seed), plan.key, moved)


def _chosen(ledger: Ledger, seed: int) -> ProbePictures | None:
    split = ledger.file.study.split.seed_for(seed)
    return read_pictures(pictures_path(ledger.out, split), ledger.file.digest)


def _best(plan: RunPlan, folder: Path, pictures: Pictures) -> Classifier:
    """The run's model with the weights of its best epoch, in evaluation mode."""
    model = plan.build().to(pictures.device)
    weights, _ = checkpoint.load(folder / BEST)
    model.load_state_dict(weights)
    return model.eval()
