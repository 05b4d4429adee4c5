"""scikit-learn's own checks on `StudyClassifier`: those that apply, and why others cannot.

scikit-learn yields no check at all for an estimator whose input is no table of numbers. Here all of
them run: each must pass, or stand below with the reason.
"""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import headtohead
from deployed import Trained, trained_study

checks = pytest.importorskip("sklearn.utils.estimator_checks")

LABELS = "fits made-up labels, such as 0 and 1: the classes are the study's"
TABLE = "fits a table of numbers where images belong, and expects it to be looked at"
NO_FIT = "expects that fitting computes something; nothing is trained here"
NOT_APPLICABLE = {
    **dict.fromkeys(
        (
            *("check_fit_score_takes_y", "check_estimators_overwrite_params"),
            *("check_dont_overwrite_parameters", "check_estimators_fit_returns_self"),
            *("check_readonly_memmap_input", "check_n_features_in_after_fitting"),
            *("check_positive_only_tag_during_fit", "check_estimators_dtypes"),
            *("check_complex_data", "check_dtype_object", "check_pipeline_consistency"),
            *("check_estimators_pickle", "check_f_contiguous_array_estimator"),
            *("check_classifiers_classes", "check_supervised_y_2d", "check_dict_unchanged"),
            *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
            *("check_fit2d_1sample", "check_fit2d_1feature", "check_fit_idempotent"),
            *("check_fit_check_is_fitted", "check_n_features_in", "check_fit1d"),
            *("check_fit2d_predict1d", "check_classifier_data_not_an_array"),
        ),
        LABELS,
    ),
    **dict.fromkeys(
        (
            *("check_estimators_empty_data_messages", "check_estimators_nan_inf"),
            *("check_estimator_sparse_tag", "check_estimator_sparse_array"),
            *("check_estimator_sparse_matrix", "check_array_api_input"),
            *("check_supervised_y_no_nan", "check_classifiers_regression_target"),
        ),
        TABLE,
    ),
    **dict.fromkeys(("check_classifiers_one_label", "check_classifiers_train"), NO_FIT),
}
MOST = {"check_estimator_cloneable", "check_set_params", "check_requires_y_none"}
"""Some that must be among those that ran and passed."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("sklearn"))


def made(trained: Trained) -> headtohead.StudyClassifier:
    return headtohead.StudyClassifier(trained.out, head="gap", seed=0, device="cpu")


class OfTables(headtohead.StudyClassifier):
    """Says that it takes tables: else scikit-learn yields nothing."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


@pytest.mark.filterwarnings("ignore")
def test_each_check_passes_or_cannot_apply(trained: Trained) -> None:
    """Else scikit-learn's tools meet an estimator that breaks their rules."""
    estimator = OfTables(trained.out, head="gap", seed=0, device="cpu")
    passed, failed = set(), {}
    for check in (checks.check_estimator_cloneable, *checks._yield_all_checks(estimator, True)):
        name = getattr(check, "func", check).__name__
        if name in NOT_APPLICABLE:
            continue
        try:
            check("StudyClassifier", estimator)
            passed.add(name)
        except Exception as error:
            failed[name] = str(error)
    assert failed == {}
    assert passed >= MOST
    assert len(passed) >= 15


def test_what_those_checks_look_for_holds_on_images(trained: Trained) -> None:
    """Of the checks that cannot apply, what they are about: order, subsets, pickles, state."""
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    images = [trained.source / name for name in trained.prepared.names[30:50]]
    labels = [trained.prepared.classes[k] for k in trained.prepared.labels[30:50]]
    estimator = made(trained)
    assert estimator.fit(images, labels) is estimator
    before = {name: value for name, value in vars(estimator).items() if name != "_predictor"}
    shares = estimator.predict_proba(images)
    assert before == {name: v for name, v in vars(estimator).items() if name != "_predictor"}
    order = np.random.default_rng(0).permutation(20)
    mixed = estimator.predict_proba([images[at] for at in order])
    np.testing.assert_allclose(mixed, shares[order], atol=1e-6)
    each = np.concatenate([estimator.predict_proba([image]) for image in images])
    np.testing.assert_allclose(each, shares, atol=1e-6)
    assert (estimator.predict(images) == estimator.classes_[shares.argmax(axis=1)]).all()
    content = pickle.dumps(estimator)
    assert len(content) < 2000
    again = pickle.loads(content)  # noqa: S301 - written a line above
    np.testing.assert_array_equal(again.predict_proba(images), shares)
    scores = cross_val_score(made(trained), images, labels, cv=4)
    assert scores.mean() == pytest.approx(estimator.score(images, labels))
    piped = make_pipeline(FunctionTransformer(), made(trained)).fit(images, labels)
    assert piped.score(images, labels) == estimator.score(images, labels)
    for bad in ((images, labels[:3]), ([], []), (images, None)):
        with pytest.raises(ValueError, match=r"y|label"):
            made(trained).fit(*bad)
