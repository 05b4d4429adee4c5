"""headtohead settles, with evidence, which classification head a convolutional network wears.

    import headtohead

    comparison = headtohead.compare(data="photographs/", heads="fc,gap", seeds=7, epochs=10)
    print(comparison.summary.winner, comparison.out)

Names are loaded when they are first used, so that importing the package costs nothing and what
needs no torch loads none.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headtohead.comparison import compare
    from headtohead.errors import DataError, HeadToHeadError, RunError, StorageError, UsageError
    from headtohead.finished import Comparison, load
    from headtohead.looking import data_check, data_show
    from headtohead.models.catalog import heads
    from headtohead.models.classifier import Classifier, build_classifier
    from headtohead.models.heads import Head, build_head
    from headtohead.spec import StudySpec
    from headtohead.study.forecast import plan
    from headtohead.study.ledger import Ledger
    from headtohead.study.reading import load_study
    from headtohead.tuning.search import tune

__all__ = [
    "Classifier",
    "Comparison",
    "DataError",
    "Head",
    "HeadToHeadError",
    "Ledger",
    "RunError",
    "StorageError",
    "StudySpec",
    "UsageError",
    "build_classifier",
    "build_head",
    "compare",
    "data_check",
    "data_show",
    "heads",
    "load",
    "load_study",
    "plan",
    "tune",
]

_HOMES = {
    "headtohead.comparison": ("compare",),
    "headtohead.errors": ("DataError", "HeadToHeadError", "RunError", "StorageError", "UsageError"),
    "headtohead.finished": ("Comparison", "load"),
    "headtohead.looking": ("data_check", "data_show"),
    "headtohead.models.catalog": ("heads",),
    "headtohead.models.classifier": ("Classifier", "build_classifier"),
    "headtohead.models.heads": ("Head", "build_head"),
    "headtohead.spec": ("StudySpec",),
    "headtohead.study.forecast": ("plan",),
    "headtohead.study.ledger": ("Ledger",),
    "headtohead.study.reading": ("load_study",),
    "headtohead.tuning.search": ("tune",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
