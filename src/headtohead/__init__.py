"""headtohead settles, with evidence, which classification head a backbone should wear.

    import headtohead

    comparison = headtohead.compare(data="photographs/", heads="fc,gap", seeds=7, epochs=10)
    print(comparison.summary.winner, comparison.out)

Names are loaded when they are first used, so that importing the package costs nothing and what
needs no torch loads none.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headtohead.compare import compare
    from headtohead.config.study import StudySpec
    from headtohead.config.study_files import load_study
    from headtohead.core.errors import (
        DataError,
        HeadToHeadError,
        RunError,
        StorageError,
        UsageError,
    )
    from headtohead.data_commands import data_check, data_show
    from headtohead.deploy.estimator import StudyClassifier
    from headtohead.heads.base import Head
    from headtohead.heads.classifier import Classifier, build_classifier
    from headtohead.heads.describe import heads
    from headtohead.heads.table import build_head
    from headtohead.result import Comparison, load
    from headtohead.runtime.doctor import doctor
    from headtohead.runtime.plan import plan
    from headtohead.store.ledger import Ledger
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
    "StudyClassifier",
    "StudySpec",
    "UsageError",
    "build_classifier",
    "build_head",
    "compare",
    "data_check",
    "data_show",
    "doctor",
    "heads",
    "load",
    "load_study",
    "plan",
    "tune",
]

_HOMES = {
    "headtohead.compare": ("compare",),
    "headtohead.core.errors": (
        "DataError",
        "HeadToHeadError",
        "RunError",
        "StorageError",
        "UsageError",
    ),
    "headtohead.result": ("Comparison", "load"),
    "headtohead.deploy.estimator": ("StudyClassifier",),
    "headtohead.data_commands": ("data_check", "data_show"),
    "headtohead.heads.describe": ("heads",),
    "headtohead.heads.classifier": ("Classifier", "build_classifier"),
    "headtohead.heads.base": ("Head",),
    "headtohead.heads.table": ("build_head",),
    "headtohead.config.study": ("StudySpec",),
    "headtohead.runtime.doctor": ("doctor",),
    "headtohead.runtime.plan": ("plan",),
    "headtohead.store.ledger": ("Ledger",),
    "headtohead.config.study_files": ("load_study",),
    "headtohead.tuning.search": ("tune",),
}


class _Package(ModuleType):
    """`headtohead.compare` and `headtohead.heads` are functions, and modules have these names, too.

    The import system sets a module as an attribute of its package: not of these names.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
