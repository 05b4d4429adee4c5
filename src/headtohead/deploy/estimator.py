"""A finished study as an estimator of scikit-learn's: for pipelines, scorers and searches."""

from collections.abc import Collection, Iterable, Sized
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import UsageError
from headtohead.core.files import expanded
from headtohead.store.ledger import Ledger


class StudyClassifier:
    """Classifies images (paths, PIL images or arrays) by a run of the study in the folder `out`.

    Follows scikit-learn's conventions for a fitted estimator: `get_params`, `set_params`,
    `classes_`, `predict`, `predict_proba`, `score`. It is trained by `headtohead compare`: `fit`
    only checks that the labels in `y` are classes of the study. A pickle of it holds its arguments,
    not the model. `head`, `seed`, `ensemble`, `device` and `trust` are those of
    `headtohead.Comparison.predictor`: by default the winner on validation predicts, on a GPU where
    there is one, and no code of the study's own is imported.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        out: str | Path = "",
        *,
        head: str | None = None,
        seed: int | None = None,
        ensemble: bool = False,
        device: str = "auto",
        trust: Collection[str] = (),
    ) -> None:
        self.out, self.head, self.seed = out, head, seed
        self.ensemble, self.device, self.trust = ensemble, device, trust

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **values: Any) -> Self:
        """Change arguments of the constructor; loads the model anew when it is next used."""
        for name, value in values.items():
            if name not in _PARAMETERS:
                raise ValueError(f"no parameter {name!r}; there are {', '.join(_PARAMETERS)}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """As scikit-learn from 1.6 on asks; it is installed where this is called."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=False),
            requires_fit=False,
        )

    def fit(self, images: Iterable[Any], y: Iterable[Any] | None = None) -> Self:
        """Nothing is trained. Raises UsageError where `y` has what the study does not know.

        ValueError where it is missing or its length is not that of `images`.
        """
        if y is None:
            raise ValueError("fit requires y to be passed, but the target y is None")
        labels, known = [str(label) for label in y], [str(name) for name in self.classes_]
        count = len(images) if isinstance(images, Sized) else len(labels)
        if count != len(labels) or not labels:
            raise ValueError(f"one label for each image: {count} images and {len(labels)} labels")
        unknown = sorted(set(labels) - set(known))
        if unknown:
            raise UsageError(
                f"labels {', '.join(map(repr, unknown[:3]))} are not classes of the study; it has "
                f"{', '.join(map(repr, known))}."
            )
        return self

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The names of the classes, in the order of `predict_proba`'s columns."""
        return np.array(Ledger.open(expanded(self.out)).file.classes)

    def __getstate__(self) -> dict[str, Any]:
        return self.get_params()

    def predict(self, images: Iterable[Any]) -> NDArray[np.str_]:
        """(n,) the class of each image; raises as `headtohead.Comparison.predict` does."""
        return np.asarray(self._loaded().predict(images), np.str_)

    def predict_proba(self, images: Iterable[Any]) -> NDArray[np.float64]:
        """(n, K) calibrated probabilities; raises as `predict` does."""
        return np.asarray(self._loaded().predict_proba(images), np.float64)

    def score(self, images: Iterable[Any], y: Iterable[Any]) -> float:
        """The share of images whose class is the one in `y`."""
        return float(np.mean(self.predict(images) == np.array([str(label) for label in y])))

    def _loaded(self) -> Any:
        """The predictor of the arguments as they are now, which may be set one by one."""
        asked = self.get_params()
        loaded, predictor = self.__dict__.get("_predictor", (None, None))
        if loaded != asked:
            from headtohead.deploy.opening import open_predictor

            predictor = open_predictor(
                self.out, self.head, self.seed,
                ensemble=self.ensemble, device=self.device, trust=self.trust,
            )  # fmt: skip
            self.__dict__["_predictor"] = (asked, predictor)
        return predictor


_PARAMETERS = ("out", "head", "seed", "ensemble", "device", "trust")
