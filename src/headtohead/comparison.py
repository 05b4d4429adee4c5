"""A comparison from its first moment: what is asked for, and a worker that sees whether it can be.

Imports little, so that the first worker starts to import torch at once. The rest of the main path
is `headtohead.conduct`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from headtohead.config.options import StudyOptions, documented, study_from
from headtohead.core.system import cache_folder
from headtohead.runtime.preflight import muster, question_about

if TYPE_CHECKING:
    from headtohead.result import Comparison


@documented("compare")
def compare(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    masks: str | Path | None = None,
    retry_failed: bool = False,
    retrain_changed: bool = False,
    **options: Unpack[StudyOptions],
) -> "Comparison":
    """Run what is missing of a study, and report on all of it.

    `study` is a shipped study's name or a YAML file; by default it is `quick`, on drawn images,
    or `standard` where `data` is given. The options win over it; they have the names and the
    meaning of the command's. The same call again resumes, skips what is finished and adds what is
    new. `masks` are as in `headtohead.probes.images.collect_masks`; for what is trained again see
    `headtohead.runtime.renewal`.
    Raises UsageError, DataError, StorageError, and RunError where no worker can start; runs that
    failed are told in `Comparison.failures`.
    """
    spec = study_from(study, **options)
    cache_folder(cache)  # that there is one is said before anything starts
    question = question_about(spec, device, workers, deterministic=deterministic)
    with muster(question, cache) as recruits:
        # Imported while the first worker imports torch: what prepares and draws takes as long.
        from headtohead.conduct import conduct
        from headtohead.runtime.renewal import Renewal

        renewal = Renewal(retry_failed, retrain_changed)
        return conduct(spec, recruits, out=out, cache=cache, masks=masks, renewal=renewal)
