"""A plain scikit-learn classifier becomes a model that answers as the classifier does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import SVC, LinearSVC

from ktt_core.config import build_config
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError, TrainingError, UnsupportedError
from ktt_core.model import Batch
from ktt_core.taxonomy import Taxonomy
from ktt_models.sklearn.config import EstimatorConfig
from ktt_models.sklearn.model import SklearnModel

Make = Callable[[], Any]

PATHS = [("A", "a"), ("A", "b"), ("B", "c"), ("B", "d"), ("E",)]
WORDS = ["lake river sea", "hill mountain rock", "tree wood leaf", "bread cake bun", "car bus bike"]

LINEAR: dict[str, Make] = {
    "logistic": lambda: LogisticRegression(C=20),
    "one against the rest": lambda: OneVsRestClassifier(LogisticRegression()),
    "rest, modified Huber": lambda: OneVsRestClassifier(
        SGDClassifier(loss="modified_huber", random_state=0)
    ),
    "sgd, log loss": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "sgd, modified Huber": lambda: SGDClassifier(loss="modified_huber", random_state=0),
    "sgd, L1": lambda: SGDClassifier(loss="log_loss", penalty="l1", alpha=1e-3, random_state=0),
    "sgd, hinge": lambda: SGDClassifier(random_state=0),
    "svm": LinearSVC,
    "ridge": RidgeClassifier,
    "naive Bayes": lambda: MultinomialNB(alpha=0.1),
    "complement": lambda: ComplementNB(alpha=0.1),
    "complement, normed": lambda: ComplementNB(alpha=0.1, norm=True),
    "pipeline": lambda: make_pipeline(MaxAbsScaler(), LogisticRegression()),
    "search": lambda: GridSearchCV(MultinomialNB(), {"alpha": [0.1, 1.0]}, cv=2),
}


class Rows:
    """A loader over made up texts of some of the leaves."""

    def __init__(self, taxonomy: Taxonomy, leaves: list[int], n_rows: int = 90, seed: int = 0):
        generator = np.random.default_rng(seed)
        which = generator.choice(leaves, n_rows)
        words = [words.split() for words in WORDS]
        self.texts = [
            " ".join([*generator.choice(words[leaf], 3), *generator.choice(sum(words, []), 2)])
            for leaf in which
        ]
        self.codes = taxonomy.leaf_codes[which]
        self.n_rows = n_rows

    def __iter__(self) -> Iterator[Batch]:
        yield Batch({"text": self.texts}, self.codes)


def make_model(make: Make, taxonomy: Taxonomy, **values: Any) -> SklearnModel:
    class Own(SklearnModel):
        model_id: ClassVar[str] = "own"

        def make_estimator(self) -> Any:
            return make()

    return Own(taxonomy, build_config(EstimatorConfig, "own", {"min_df": 1, **values}))


def train(make: Make, n_leaves: int = 5, absent: tuple[int, ...] = ()) -> tuple[Any, Any, Rows]:
    """Return a trained model, the classifier in it, and rows that neither has seen."""
    made = []

    def recorded() -> Any:
        made.append(make())
        return made[-1]

    taxonomy = Taxonomy.from_paths(PATHS[:n_leaves])
    model = make_model(recorded, taxonomy)
    known = [leaf for leaf in range(n_leaves) if leaf not in absent]
    model.fit(Rows(taxonomy, known), Rows(taxonomy, list(range(n_leaves)), 40, 1))
    return model, made[-1], Rows(taxonomy, list(range(n_leaves)), 40, 2)


def answers(model: SklearnModel, texts: list[str]) -> np.ndarray:
    return np.exp(leaf_log_proba(model.level_scores({"text": texts}), model.taxonomy, 1.0))


def matrix(model: SklearnModel, texts: list[str]) -> csr_matrix:
    rows = model.vectorizer.transform(texts)
    parts = rows.data.astype(float), rows.indices, rows.indptr.astype(np.int32)
    return csr_matrix(parts, (rows.n_rows, rows.n_columns))


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(("n_leaves", "absent"), [(5, ()), (5, (0, 3)), (2, ()), (3, (1,))])
def test_it_answers_as_the_classifier_does(
    name: str, n_leaves: int, absent: tuple[int, ...]
) -> None:
    model, estimator, test = train(LINEAR[name], n_leaves, absent)
    known = np.array([leaf for leaf in range(n_leaves) if leaf not in absent])
    texts = [*test.texts, "", "words that nobody knows", " ".join(WORDS) * 20]
    found, rows = answers(model, texts), matrix(model, texts)
    # Classes of the same probability are no answer of another.
    predicted = found[np.arange(len(texts)), known[estimator.predict(rows)]]
    np.testing.assert_allclose(predicted, found.max(axis=1), rtol=1e-5)
    # modified_huber finds nothing probable in some texts, and then all leaves equally so.
    told = found.max(axis=1) > 1.01 / n_leaves
    assert found[:, list(absent)][told].max(initial=0) < 1e-8
    if hasattr(estimator, "predict_proba"):
        proba = estimator.predict_proba(rows)
        np.testing.assert_allclose(found[told][:, known], proba[told], atol=2e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_its_checkpoint_and_its_exports_answer_as_it_does(name: str, tmp_path: Path) -> None:
    model, _, test = train(LINEAR[name], absent=(4,))
    model.save(tmp_path / "best.safetensors")
    again = type(model).from_checkpoint(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(answers(again, test.texts), answers(model, test.texts))
    for kind in ("onnx", "artifacts"):
        (tmp_path / kind).mkdir()
    texts = [*test.texts, "", "lake"]
    again.export_onnx(tmp_path / "onnx")
    assert again.onnx_parity(tmp_path / "onnx", texts).passed
    again.export_artifacts(tmp_path / "artifacts")
    assert again.artifacts_parity(tmp_path / "artifacts", texts).passed
    assert again.gen_reference_set(test).num_rows == test.n_rows


def test_leaves_without_training_rows_leave_the_temperature_alone() -> None:
    model, _, _ = train(LINEAR["logistic"], absent=(0, 1, 2))
    assert model.temperature < 2


def test_scores_of_thousands_stay_exact() -> None:
    steep = {"alpha": 1e-12, "loss": "log_loss", "max_iter": 3, "tol": None, "random_state": 0}
    model, estimator, test = train(lambda: SGDClassifier(**steep))
    rows = matrix(model, test.texts)
    assert np.abs(estimator.decision_function(rows)).max() > 1000
    np.testing.assert_allclose(answers(model, test.texts), estimator.predict_proba(rows), atol=2e-4)


@pytest.mark.parametrize(
    "make",
    [
        KNeighborsClassifier,
        lambda: RandomForestClassifier(5),
        lambda: BernoulliNB(),
        lambda: SVC(),
        lambda: CalibratedClassifierCV(LinearSVC(), cv=2),
    ],
)
def test_what_is_not_linear_is_refused_before_a_row_is_read(make: Make) -> None:
    taxonomy = Taxonomy.from_paths(PATHS)

    class Unread:
        n_rows = 10

        def __iter__(self) -> Iterator[Batch]:
            raise AssertionError("read")

    with pytest.raises(UnsupportedError, match="own: .* does not score a text by a sum"):
        make_model(make, taxonomy).fit(Unread(), Unread())


class NearestFirst(LinearSVC):  # type: ignore[misc]
    """Scores that are distances: the smallest is the best."""

    def decision_function(self, rows: Any) -> Any:
        return -super().decision_function(rows)

    def predict(self, rows: Any) -> Any:
        return super().decision_function(rows).argmax(axis=1)


class OneColumn(LinearSVC):  # type: ignore[misc]
    """Scores of two classes as a matrix."""

    def decision_function(self, rows: Any) -> Any:
        return super().decision_function(rows)[:, None]

    def predict(self, rows: Any) -> Any:
        return (self.decision_function(rows)[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    ("make", "n_leaves", "why"),
    [
        (NearestFirst, 5, "does not decide for the class with the greatest of its scores"),
        # As many scores as pairs of classes, which of three are three.
        (lambda: SVC(kernel="linear", decision_function_shape="ovo"), 3, "does not decide for"),
        (lambda: SVC(kernel="linear", decision_function_shape="ovo"), 5, "does not decide for"),
        (
            lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.9),
            2,
            "FixedThresholdClassifier does not decide for the class",
        ),
        (
            lambda: BaggingClassifier(LogisticRegression(C=20), 5, max_samples=0.3, random_state=0),
            5,
            "BaggingClassifier does not decide for the class",
        ),
        (
            lambda: MultinomialNB(alpha=0),
            5,
            "MultinomialNB does not score .*some scores are infinite or not numbers",
        ),
    ],
)
def test_whose_scores_are_not_its_answers_is_refused(make: Make, n_leaves: int, why: str) -> None:
    with pytest.raises(UnsupportedError, match=f"own: .*{why}"):
        train(make, n_leaves)


def test_scores_of_two_classes_may_be_a_column() -> None:
    model, estimator, test = train(OneColumn, 2)
    predicted = estimator.predict(matrix(model, test.texts))
    assert answers(model, test.texts).argmax(axis=1).tolist() == predicted.tolist()


class Failing(LogisticRegression):  # type: ignore[misc]
    def fit(self, rows: Any, labels: Any) -> None:
        raise AttributeError("'Failing' object has no attribute 'weights'")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            Failing,
            TrainingError,
            "own: Failing cannot be trained: AttributeError: 'Failing' object",
        ),
        (GaussianNB, TrainingError, "own: GaussianNB cannot be trained: TypeError: Sparse data"),
        (lambda: 1 / 0, TrainingError, "own: make_estimator cannot be called: ZeroDivisionError"),
        (lambda: LogisticRegression, UnsupportedError, "must return a scikit-learn classifier"),
        (lambda: None, UnsupportedError, "must return a scikit-learn classifier"),
        (lambda: SGDClassifier(alpha=-1), TrainingError, "own: SGDClassifier cannot be trained"),
    ],
)
def test_errors_are_the_models_own(make: Make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train(make)


def test_a_class_without_a_classifier_says_what_to_write() -> None:
    taxonomy = Taxonomy.from_paths(PATHS)
    model = SklearnModel(taxonomy, build_config(EstimatorConfig, "own", {}))
    with pytest.raises(UnsupportedError, match="write its make_estimator"):
        model.fit(Rows(taxonomy, [0, 1]), Rows(taxonomy, [0, 1]))


def test_rows_of_one_leaf_are_refused() -> None:
    with pytest.raises(DataError, match="all of one class path"):
        train(MultinomialNB, absent=(0, 1, 2, 3))


def test_the_rarest_terms_go_where_weights_would_be_too_many() -> None:
    taxonomy = Taxonomy.from_paths(PATHS)
    rows = Rows(taxonomy, list(range(5)))
    model = make_model(MultinomialNB, taxonomy, max_weights=100, char_ngrams=None)
    model.fit(rows, rows)
    arrays, _ = model.solver.state_dict()
    assert len(arrays["weights"]) <= 100
    assert model.test(rows)["leaf_accuracy"] > 0.9
    with pytest.raises(DataError, match="max_weights = 4 is less than one weight"):
        make_model(MultinomialNB, taxonomy, max_weights=4).fit(rows, rows)
