"""Tf-idf and a linear classifier over the children of every class; a path multiplies them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from ktt_core.config import ModelConfig
from ktt_models.sklearn.config import TfidfConfig
from ktt_models.sklearn.contract import Arrays, Scorer, Solver
from ktt_models.sklearn.model import SklearnModel
from ktt_models.sklearn.stored import StoredSolver

if TYPE_CHECKING:
    from ktt_models.sklearn.solvers import HierarchicalSGDClassifier

__all__ = ["TfidfHSGD", "TfidfHSGDConfig"]


class TfidfHSGDConfig(TfidfConfig):
    """Hyperparameters of `TfidfHSGD`."""

    learning_rate: float = Field(0.8, gt=0.0, le=100.0, description="Step size of AdaGrad.")


class TfidfHSGD(SklearnModel):
    """Tf-idf rows and a linear classifier over the children of every class that has more than one.

    The score of a class is log p(class | parent), so the sum along a path is log p(path).
    """

    model_id: ClassVar[str] = "tfidf_hsgd"
    config_class: ClassVar[type[ModelConfig]] = TfidfHSGDConfig

    config: TfidfConfig
    scores_comparable_within_level: ClassVar[bool] = False

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
        return StoredSolver(self.taxonomy, arrays, params, self._compile_solver, "hierarchical")

    def _compile_solver(self, arrays: Arrays, params: dict[str, Any]) -> Scorer:
        return _solver_class().from_state(self.taxonomy, arrays, params)


def _solver_class() -> type[HierarchicalSGDClassifier]:
    # Compiles on import: only training and answering need it, listing hyperparameters does not.
    from ktt_models.sklearn.solvers import HierarchicalSGDClassifier

    return HierarchicalSGDClassifier
