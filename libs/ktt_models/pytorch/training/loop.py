"""The training loop. Device, precision and processes are left to accelerate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.labels import Labels
from ktt_core.model import Batch, Metrics
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.input.loader import OrderedLoader
from ktt_models.pytorch.network import EncoderNetwork
from ktt_models.pytorch.training.async_metrics import AsyncMetrics
from ktt_models.pytorch.training.checkpointer import Checkpointer, Snapshot
from ktt_models.pytorch.training.devices import make_accelerator
from ktt_models.pytorch.training.early_stopping import is_best, is_gain, is_over
from ktt_models.pytorch.training.failures import check_loss, divergence, memory_errors
from ktt_models.pytorch.training.gather import scored_by_all
from ktt_models.pytorch.training.microbatches import microbatches, to_tensors
from ktt_models.pytorch.training.optimizer import (
    make_optimizer,
    optimizer_arrays,
    restore_optimizer,
    set_rates,
)
from ktt_models.pytorch.training.schedule import rate_factor
from ktt_models.pytorch.training.state import BestState, TrainingState, step_seed
from ktt_models.pytorch.training.timing import Mark, Throughput
from ktt_models.validation import validate

__all__ = ["TrainingLoop"]

# Maximum number of points of the loss curve in a run's history.
_CURVE_POINTS = 400

Arrays = dict[str, NDArray[Any]]


class TrainingLoop:
    """Trains a network, starting from a state.

    Parameters
    ----------
    network : EncoderNetwork
    taxonomy : Taxonomy
    config : EncoderConfig
    train, val : OrderedLoader
    state : TrainingState
        Initial state; updated during training.
    optimizer : dict of str to ndarray
        The optimizer's state; empty at the start of a run.
    checkpointer : Checkpointer
    snapshot : callable
        Creates a checkpoint from a state and the optimizer's arrays; the third argument says
        whether to copy arrays.
    progress : callable
        May raise to stop the run, whose state is then saved first.
    scores_comparable_within_level : bool
    metrics_func : callable
        See `ktt_core.model.Model`.
    mark : callable
        Called at the start of a step's phases; see `ktt_models.pytorch.training.timing`.
    """

    def __init__(
        self,
        network: EncoderNetwork,
        taxonomy: Taxonomy,
        config: EncoderConfig,
        train: OrderedLoader,
        val: OrderedLoader,
        state: TrainingState,
        optimizer: Arrays,
        checkpointer: Checkpointer,
        snapshot: Callable[[TrainingState, Arrays, bool], Snapshot],
        progress: ProgressCallback,
        scores_comparable_within_level: bool,
        metrics_func: Callable[..., Metrics],
        mark: Mark,
    ) -> None:
        self.taxonomy, self.config, self.state = taxonomy, config, state
        self.train, self.val = train, val
        self.checkpointer, self.snapshot = checkpointer, snapshot
        self.progress, self.mark = progress, mark
        self.scores_comparable_within_level, self.metrics_func = (
            scores_comparable_within_level,
            metrics_func,
        )
        self.accelerator = make_accelerator(config)
        self.module = network.to(self.accelerator.device)
        plain = make_optimizer(network, config)
        restore_optimizer(network, plain, optimizer)
        self.network, self.optimizer = self.accelerator.prepare(network, plain)
        if self.accelerator.scaler is not None and state.scaler:
            self.accelerator.scaler.load_state_dict(state.scaler)
        self.total = config.epochs * len(train)
        self.readings = AsyncMetrics(self.accelerator.device)
        self.throughput = Throughput()
        self.loss = 0.0

    def run(self) -> None:
        """Train until the state is finished.

        Raises
        ------
        TrainingError
            If the loss or the gradient is not finite.
        ResourceExhaustedError
            If there is not enough memory.
        """
        gpus = list(range(torch.cuda.device_count()))
        try:
            # Steps seed the random generators; their states are restored afterwards.
            with torch.random.fork_rng(gpus):
                self._tell(Progress("fit", self.state.step, self.total, "steps"))
                while not self.state.finished:
                    self._epoch()
            self.checkpointer.close()
        finally:
            self.accelerator.unwrap_model(self.network, keep_fp32_wrapper=False)

    def _epoch(self) -> None:
        self.network.train()
        self.throughput.begin()
        for batch in self._batches():
            with memory_errors(self.config, training=True):
                self._step(batch)
            self._after_step(len(batch.codes))
        self._end_epoch()

    # -- a step ------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Batch]:
        self.mark("input")
        self.train.start_at(self.state.epoch, self.state.batch)
        for batch in self.train:
            yield batch
            self.mark("input")
        self.mark("between")

    def _step(self, batch: Batch) -> None:
        accelerator, config, mark = self.accelerator, self.config, self.mark
        mark("rest")
        rank, world = accelerator.process_index, accelerator.num_processes
        torch.manual_seed(step_seed(config.seed, self.state.step, rank))
        total = torch.zeros((), device=accelerator.device)
        for part in microbatches(batch, rank, world, config.accumulate):
            inputs = to_tensors(part.batch.inputs, accelerator.device)
            codes = to_tensors({"codes": part.batch.codes}, accelerator.device)["codes"].long()
            with self._sharing_gradients(part.last):
                mark("forward")
                loss = self.network(inputs, codes) * part.weight
                mark("backward")
                accelerator.backward(loss)
                mark("rest")
            total += loss.detach()
        mark("optimizer")
        norm = torch.zeros_like(total)
        if config.clip_norm is not None:
            norm = accelerator.clip_grad_norm_(self.module.parameters(), config.clip_norm)
        set_rates(self.optimizer, self._rate_factor(self.state.step))
        self.optimizer.step()
        self.optimizer.zero_grad()
        mark("rest")
        self.readings.push(self.state.step + 1, accelerator.reduce(total, "mean"), norm)

    def _sharing_gradients(self, now: bool) -> AbstractContextManager[Any]:
        """Return a context in which gradients are added up over processes only if `now`."""
        return nullcontext() if now else self.accelerator.no_sync(self.network)

    def _rate_factor(self, step: int) -> float:
        return rate_factor(step, self.total, self.config.warmup, self.config.schedule)

    def _after_step(self, rows: int) -> None:
        state = self.state
        state.step += 1
        state.batch += 1
        self._read()
        figures = {
            "loss": self.loss,
            "learning_rate": self._learning_rate(state.step - 1),
            "texts_per_second": self.throughput.after(rows),
        }
        self._tell(Progress("fit", state.step, self.total, "steps", figures))
        if self.checkpointer.due:
            self._keep()

    def _learning_rate(self, step: int) -> float:
        config = self.config
        highest = config.classifier_lr if self.module.frozen else config.encoder_lr
        return highest * self._rate_factor(step)

    def _read(self, all_of_them: bool = False) -> None:
        """Add up the losses that have arrived, and check that they are finite."""
        state, every = self.state, max(1, self.total // _CURVE_POINTS)
        for step, (loss, norm) in self.readings.read(all_of_them):
            check_loss(loss, norm, step, self.total, self.config, self.checkpointer.kept)
            self.loss = loss
            state.losses += loss
            state.epoch_losses += loss
            if step % every == 0:
                rate = self._learning_rate(step - 1)
                point = {"step": step, "loss": state.losses / every, "learning_rate": rate}
                state.history.append({name: float(figure) for name, figure in point.items()})
                state.losses = 0.0

    # -- between steps -----------------------------------------------------------------------------

    def _end_epoch(self) -> None:
        state = self.state
        self._read(all_of_them=True)
        metrics: dict[str, float] = {}
        if self.val.n_rows:
            state.temperature, metrics = validate(
                self._scored,
                self.val.n_rows,
                self.taxonomy,
                self.scores_comparable_within_level,
                self.metrics_func,
            )
        else:
            self._check_weights()
        state.since_gain = 0 if is_gain(metrics, state) else state.since_gain + 1
        if is_best(metrics, state):
            weights = {name: weight.detach() for name, weight in self.module.trained()}
            state.best = BestState(state.step, state.temperature, metrics, _to_arrays(weights))
        loss = state.epoch_losses / max(1, state.batch)
        state.epoch += 1
        state.batch, state.epoch_losses, state.metrics = 0, 0.0, metrics
        point = {"epoch": float(state.epoch), "step": float(state.step), "loss": loss, **metrics}
        state.history.append(point)
        state.finished = is_over(state, self.config)
        self._keep(wait=state.finished)
        n_rows = self.val.n_rows
        self._tell(Progress("validate", n_rows, n_rows, "rows", {"loss": loss, **metrics}))

    def _scored(self) -> Iterator[tuple[Sequence[NDArray[np.float32]], Labels]]:
        self.module.eval()
        done = 0
        for levels, labels in scored_by_all(self.accelerator, self.val, self._score):
            yield levels, labels
            done += len(labels)
            self._tell(Progress("validate", done, self.val.n_rows, "rows"))

    def _score(self, batch: Batch) -> list[NDArray[np.float32]]:
        device = self.accelerator.device
        with memory_errors(self.config, training=False), torch.inference_mode():
            with self.accelerator.autocast():
                features = self.module.features(to_tensors(batch.inputs, device))
            levels = [level.cpu().numpy() for level in self.module.level_scores(features)]
        if any(np.isnan(level).any() for level in levels):
            what, step = "scores of validation rows are nan", self.state.step
            raise divergence(what, step, self.total, self.config, self.checkpointer.kept)
        return levels

    def _tell(self, event: Progress) -> None:
        """Report progress; if that stops the run, save its state first."""
        try:
            self.progress(event)
        except BaseException:
            self._read(all_of_them=True)
            self._keep(wait=True)
            raise

    def _keep(self, wait: bool = False) -> None:
        self._read(all_of_them=True)
        self.checkpointer.keep(lambda: self._snapshot(copy=not wait), wait)

    def _check_weights(self) -> None:
        """Check that weights are finite after the last update, which known losses precede.

        Otherwise an unusable state would replace a good one.
        """
        finite = [torch.isfinite(weight).all() for _, weight in self.module.trained()]
        if not torch.stack(finite).all().item():
            what, step = "there are weights that are not finite", self.state.step
            raise divergence(what, step, self.total, self.config, self.checkpointer.kept)

    def _snapshot(self, copy: bool) -> Snapshot:
        self._check_weights()
        if self.accelerator.scaler is not None:
            self.state.scaler = dict(self.accelerator.scaler.state_dict())
        plain = self.optimizer.optimizer
        return self.snapshot(self.state, optimizer_arrays(self.module, plain, copy), copy)


def _to_arrays(tensors: dict[str, torch.Tensor]) -> Arrays:
    return {name: np.array(tensor.cpu().numpy()) for name, tensor in tensors.items()}
