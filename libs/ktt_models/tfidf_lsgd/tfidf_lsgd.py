"""Tf-idf and one linear classifier over the leaves: its softmax gives the leaves' probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ktt_core.config import ModelConfig
from ktt_models.sklearn.config import TfidfConfig
from ktt_models.sklearn.contract import Arrays, Scorer, Solver
from ktt_models.sklearn.model import SklearnModel
from ktt_models.sklearn.stored import StoredSolver

if TYPE_CHECKING:
    from ktt_models.sklearn.solvers import FlatSGDClassifier

__all__ = ["TfidfLSGD", "TfidfLSGDConfig"]


class TfidfLSGDConfig(TfidfConfig):
    """Hyperparameters of `TfidfLSGD`."""


class TfidfLSGD(SklearnModel):
    """Tf-idf rows and one linear classifier over the leaves.

    Its score of a leaf is log p(leaf); an upper class's probability is the sum over the leaves
    below it.
    """

    model_id: ClassVar[str] = "tfidf_lsgd"
    config_class: ClassVar[type[ModelConfig]] = TfidfLSGDConfig

    config: TfidfConfig

    def make_solver(self) -> Solver:
        """Return a new solver with this model's hyperparameters."""
        config = self.config
        return _solver_class()(
            self.taxonomy,
            loss=config.loss,
            alpha=config.alpha,
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            class_weight=config.class_weight,
            seed=config.seed,
            n_jobs=config.n_jobs,
            max_weights=config.max_weights,
        )

    def restore_solver(self, arrays: Arrays, params: dict[str, Any]) -> Scorer:
        """Return the trained solver of a checkpoint."""
        return StoredSolver(self.taxonomy, arrays, params, self._compile_solver, "flat")

    def _compile_solver(self, arrays: Arrays, params: dict[str, Any]) -> Scorer:
        return _solver_class().from_state(self.taxonomy, arrays, params)


def _solver_class() -> type[FlatSGDClassifier]:
    # Compiles on import: only training and answering need it, listing hyperparameters does not.
    from ktt_models.sklearn.solvers import FlatSGDClassifier

    return FlatSGDClassifier
