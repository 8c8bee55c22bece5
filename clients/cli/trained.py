"""Selection of trained models for `-m all`, and without -m.

Commands for several models use all trained ones; commands for one model use it if it is the only
one.
"""

from __future__ import annotations

from collections.abc import Iterable

from cli.options import ALL
from cli.session import Session
from ktt_core.errors import InvalidArgumentError, NotFoundError

__all__ = ["only_model", "trained_models"]


def trained_models(
    session: Session,
    dataset: str,
    named: Iterable[str],
    label: str | None = None,
    time: str | None = None,
) -> tuple[str, ...]:
    """Return the named models; without names, or for "all", the trained ones.

    Parameters
    ----------
    session : Session
    dataset : str
    named : iterable of str
    label, time : str, optional
        The checkpoint that they must have.

    Raises
    ------
    NotFoundError
        If none is trained.
    """
    given = tuple(named)
    if given and ALL not in given:
        return given
    models = {
        checkpoint.model: None
        for checkpoint in session.backend.catalogue.list_checkpoints(dataset=dataset)
        if label in (None, checkpoint.label) and time in (None, checkpoint.time)
    }
    if not models:
        what = f"a {label!r} checkpoint" if label else "a checkpoint"
        raise NotFoundError(
            f"no model has {what} of {dataset!r}{f' of {time}' if time else ''}; "
            "`ktt checkpoints` shows those there are"
        )
    return tuple(models)


def only_model(
    session: Session,
    dataset: str,
    named: str | None,
    label: str | None = None,
    time: str | None = None,
) -> str:
    """Return the named model; without a name, the only trained one.

    Parameters
    ----------
    session, dataset, named, label, time
        As those of `trained_models`.

    Raises
    ------
    NotFoundError
        If none is trained.
    InvalidArgumentError
        If several are.
    """
    if named is not None:
        return named
    models = trained_models(session, dataset, (), label, time)
    if len(models) > 1:
        raise InvalidArgumentError(
            f"several models are trained on {dataset!r}: choose one with -m: {', '.join(models)}"
        )
    return models[0]
