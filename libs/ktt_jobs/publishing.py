"""Crash-safe publication of a job's result together with its files.

``result.json`` in the job's folder is written before the files are moved to where others see them,
and names some of them as the job's outputs. After a crash they tell whether the job was done
(`resolve`). A folder that replaces another in one step can hold a commit marker of the job, a file
that exists from that moment and may be removed once the outputs exist.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktt_core.atomic import atomic_file, fsync_directory
from ktt_core.documents import Document, parse_object
from ktt_core.errors import DataError

__all__ = ["abort", "prepare", "resolve"]

_log = logging.getLogger(__name__)
_RESULT = "result.json"


@dataclass(frozen=True)
class _Prepared(Document):
    """A result and the paths of its outputs and commit marker, as earlier versions name them."""

    result: dict[str, Any]
    proofs: tuple[str, ...]
    sign: str | None = None

    @property
    def outputs(self) -> list[Path]:
        return [Path(path) for path in self.proofs]

    @property
    def committed(self) -> bool:
        return self.sign is not None and Path(self.sign).exists()


def prepare(
    folder: Path,
    result: Mapping[str, Any],
    outputs: Sequence[Path],
    commit_marker: Path | None = None,
) -> None:
    """Write a job's result durably, before its files are published.

    Parameters
    ----------
    folder : Path
        The job's.
    result : mapping
        JSON values.
    outputs : sequence of Path
        Files or folders that exist once the files are published, and not before.
    commit_marker : Path, optional
        A file that exists from the moment of publication until the outputs do.

    Raises
    ------
    TypeError, ValueError
        If the result is not JSON.
    OSError
        If the system refuses.
    """
    prepared = _Prepared(
        dict(result),
        tuple(str(path.absolute()) for path in outputs),
        None if commit_marker is None else str(commit_marker.absolute()),
    )
    text = json.dumps(prepared.to_json())
    with atomic_file(folder / _RESULT) as temporary:
        temporary.write_text(text, encoding="utf-8")


def resolve(folder: Path) -> dict[str, Any] | None:
    """Return the result of a job that was published completely; else undo a partial publication.

    Only for a job whose worker has ended. Idempotent until the job is run again.

    Parameters
    ----------
    folder : Path
        The job's.
    """
    prepared = _read(folder / _RESULT)
    if prepared is None:
        return None
    if all(output.exists() for output in prepared.outputs) or prepared.committed:
        return prepared.result
    _undo(prepared.outputs)
    (folder / _RESULT).unlink(missing_ok=True)
    return None


def abort(folder: Path) -> None:
    """Undo `prepare`: remove the result, and those outputs that exist.

    Nothing is done if the commit marker exists: its folder is published, and may have replaced one
    that cannot be restored.
    """
    prepared = _read(folder / _RESULT)
    if prepared is not None and prepared.committed:
        return
    if prepared is not None:
        _undo(prepared.outputs)
    (folder / _RESULT).unlink(missing_ok=True)


def _read(path: Path) -> _Prepared | None:
    try:
        return _Prepared.from_json(parse_object(path.read_bytes(), DataError), DataError)
    except FileNotFoundError:
        return None
    except DataError as error:
        # It is written atomically, so another program wrote this.
        _log.error("%s is damaged; the job counts as not done: %s", path, error)
        return None


def _undo(outputs: Iterable[Path]) -> None:
    for output in outputs:
        if output.is_dir() and not output.is_symlink():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
        if output.parent.is_dir():
            fsync_directory(output.parent)
