"""Commands that continue a training that was interrupted."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ktt_core.errors import KttError

if TYPE_CHECKING:
    from cli.backend.protocol import Backend
    from trainer import TrainRequest

__all__ = ["resume_hints"]


def resume_hints(
    backend: Backend, request: TrainRequest, begun: Collection[tuple[str, str]]
) -> list[str]:
    """Return the commands that continue unfinished runs of a request, and the runs not started.

    Parameters
    ----------
    backend : Backend
    request : TrainRequest
        An interrupted request.
    begun : collection of (str, str)
        Models and datasets whose runs were started, and may have ended.
    """
    if request.dry_run:
        return []
    pairs = [(model, dataset) for dataset in request.datasets for model in request.models]
    try:
        unfinished = {
            (info.model, info.dataset)
            for info in backend.catalogue.list_checkpoints()
            if info.run_state == "unfinished"
        }
    except KttError:
        # The service does not answer: advice was printed already.
        return []
    lines = []
    for dataset in dict.fromkeys(request.datasets):
        models = ",".join(
            model for model, other in pairs if (model, other) in unfinished and other == dataset
        )
        if models:
            lines.append(f"continue with: ktt train {dataset} -m {models} --resume")
    left = [pair for pair in pairs if pair not in begun and pair not in unfinished]
    if left and begun and not request.resume:
        lines.append(f"not begun yet: {', '.join(f'{model} on {other}' for model, other in left)}")
    return lines
