"""How a job's result and its files come to be together: the result first, as a promise.

``result.json`` in the job's folder is written before the files are moved to where others see them,
and names some of these as its proof. Whoever finds it later can tell whether the job was done.
A folder that takes another's place in one step can bring a sign of the job with it, which is there
from that very moment and need not stay once the proofs are there.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ktt_core.atomic import atomic_file, fsync_directory

__all__ = ["promise", "settle", "withdraw"]

_log = logging.getLogger(__name__)
_RESULT = "result.json"


def promise(
    folder: Path, result: Mapping[str, Any], proofs: Sequence[Path], sign: Path | None = None
) -> None:
    """Write a job's result durably, before its files are published.

    Parameters
    ----------
    folder : Path
        The job's.
    result : mapping
        JSON values.
    proofs : sequence of Path
        What exists once the files are published, and not before.
    sign : Path, optional
        What exists from the moment on that they are published, until the proofs do.

    Raises
    ------
    TypeError, ValueError
        If the result is not JSON.
    OSError
        If the system refuses.
    """
    promised = {
        "result": result,
        "proofs": [str(path.absolute()) for path in proofs],
        "sign": None if sign is None else str(sign.absolute()),
    }
    text = json.dumps(promised)
    with atomic_file(folder / _RESULT) as temporary:
        temporary.write_text(text, encoding="utf-8")


def settle(folder: Path) -> dict[str, Any] | None:
    """Return the result of a job that published all it had to; else undo what it published.

    Only for a job whose worker is gone. The answer stays the same until the job is run again.

    Parameters
    ----------
    folder : Path
        The job's.
    """
    promised = _read(folder / _RESULT)
    if promised is None:
        return None
    proofs = [Path(proof) for proof in promised["proofs"]]
    if all(proof.exists() for proof in proofs) or _signed(promised):
        result: dict[str, Any] = promised["result"]
        return result
    _undo(proofs)
    (folder / _RESULT).unlink(missing_ok=True)
    return None


def withdraw(folder: Path) -> None:
    """Undo a promise, unless its sign is there: remove what of its proofs there is, and the result.

    What bears the sign is published, and may have taken the place of what cannot be brought back.
    """
    promised = _read(folder / _RESULT)
    if promised is not None and _signed(promised):
        return
    if promised is not None:
        _undo([Path(proof) for proof in promised["proofs"]])
    (folder / _RESULT).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        promised = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(promised["result"], dict) and isinstance(promised["proofs"], list):
            return {"sign": None, **promised}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        # It is written whole or not at all, so somebody else wrote this.
        _log.exception("%s is damaged; the job counts as not done", path)
        return None
    _log.error("%s is damaged; the job counts as not done", path)
    return None


def _signed(promised: Mapping[str, Any]) -> bool:
    return promised["sign"] is not None and Path(promised["sign"]).exists()


def _undo(proofs: Iterable[Path]) -> None:
    for proof in proofs:
        if proof.is_dir() and not proof.is_symlink():
            shutil.rmtree(proof)
        else:
            proof.unlink(missing_ok=True)
        if proof.parent.is_dir():
            fsync_directory(proof.parent)
