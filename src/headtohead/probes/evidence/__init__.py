"""Evidence that probes leave in the ledger: the file formats, as frozen values, without torch.

<out>/evidence/predictions/<head>/seed-<n>.npz   logits on validation and test
<out>/evidence/costs/<head>/seed-<n>.npz         multiply-adds and memory of the model
<out>/evidence/class_maps/<head>/seed-<n>.npz    class maps, deletion and insertion curves
<out>/evidence/translation/<head>/seed-<n>.npz   predictions as the window moves
<out>/evidence/speed/session.npz                 time of a training step, heads interleaved
<out>/evidence/pictures/split-<n>.npz            the test pictures that probes look at
<out>/evidence/masks/split-<n>.npz               where the object is on them, where that is known

Each has a manifest beside it, `.json`: format version, probe, key and sha256. What is not whole,
or not of the run that is asked for, is as good as not there and is collected again.
"""

from headtohead.probes.evidence.class_maps import (
    ClassMaps,
    Curves,
    class_maps_path,
    read_class_maps,
    write_class_maps,
)
from headtohead.probes.evidence.costs import Costs, costs_path, read_costs, write_costs
from headtohead.probes.evidence.files import FORMAT, evidence_path
from headtohead.probes.evidence.pictures import (
    Masks,
    ProbePictures,
    masks_path,
    pictures_path,
    read_masks,
    read_pictures,
    write_masks,
    write_pictures,
)
from headtohead.probes.evidence.predictions import (
    SPLITS,
    Predictions,
    SplitPredictions,
    predictions_path,
    read_predictions,
    write_predictions,
)
from headtohead.probes.evidence.speed import (
    Speed,
    read_speed,
    speed_key,
    speed_path,
    write_speed,
)
from headtohead.probes.evidence.translation import (
    Translation,
    read_translation,
    translation_path,
    write_translation,
)

__all__ = [
    "FORMAT",
    "SPLITS",
    "ClassMaps",
    "Costs",
    "Curves",
    "Masks",
    "Predictions",
    "ProbePictures",
    "Speed",
    "SplitPredictions",
    "Translation",
    "class_maps_path",
    "costs_path",
    "evidence_path",
    "masks_path",
    "pictures_path",
    "predictions_path",
    "read_class_maps",
    "read_costs",
    "read_masks",
    "read_pictures",
    "read_predictions",
    "read_speed",
    "read_translation",
    "speed_key",
    "speed_path",
    "translation_path",
    "write_class_maps",
    "write_costs",
    "write_masks",
    "write_pictures",
    "write_predictions",
    "write_speed",
    "write_translation",
]
