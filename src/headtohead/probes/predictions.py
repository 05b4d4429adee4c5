"""The predictions probe: a finished run's logits on validation and test, at both epochs."""

from pathlib import Path

from headtohead.data.split import Split
from headtohead.probes.evidence import Predictions, SplitPredictions
from headtohead.training import checkpoint
from headtohead.training.engine import BEST, LAST, RunPlan
from headtohead.training.evaluation import infer
from headtohead.training.pictures import Pictures


def collect_predictions(
    plan: RunPlan, pictures: Pictures, split: Split, folder: Path
) -> Predictions:
    """Logits of the weights in `folder` on both splits: the one look that is taken at the test.

    Raises FileNotFoundError or DamagedCheckpointError where the weights are gone or damaged.
    """
    model = plan.build().to(pictures.device)
    parts = {}
    for name, rows in (("validation", split.validation), ("test", split.test)):
        logits = {}
        for epoch, file in (("best", BEST), ("last", LAST)):
            weights, _ = checkpoint.load(folder / file)
            model.load_state_dict(weights)
            values, labels = infer(model, pictures, rows)
            logits[epoch] = values.cpu().numpy()
        parts[name] = SplitPredictions(rows, labels.cpu().numpy(), **logits)
    return Predictions(**parts)
