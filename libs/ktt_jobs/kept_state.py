"""Files that a job keeps between attempts: its task's state and its failure hint.

The folder ``keep`` in the job's folder belongs to the task and is removed when the job has ended.
``word.json`` in it is the hint of `TaskContext.set_failure_hint`.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from ktt_core.atomic import atomic_file

__all__ = ["keep_folder", "read_failure_hint", "remove_kept", "write_failure_hint"]

_log = logging.getLogger(__name__)
_HINT = "word.json"


def keep_folder(folder: Path) -> Path:
    """Return the folder in a job's folder that survives its attempts."""
    return folder / "keep"


def write_failure_hint(folder: Path, text: str, if_there: Path) -> None:
    """Keep a text to add to the error if the job fails and a file exists then."""
    hint = {"text": text, "if_there": str(if_there.absolute())}
    with atomic_file(keep_folder(folder) / _HINT) as temporary:
        temporary.write_text(json.dumps(hint), encoding="utf-8")


def read_failure_hint(folder: Path) -> str:
    """Return the failure hint of a job, or "" if none applies."""
    path = keep_folder(folder) / _HINT
    try:
        hint = json.loads(path.read_text(encoding="utf-8"))
        return str(hint["text"]) if Path(hint["if_there"]).is_file() else ""
    except FileNotFoundError:
        return ""
    except (KeyError, OSError, RecursionError, TypeError, ValueError):
        # It is written atomically, so another program wrote this.
        _log.exception("%s cannot be read", path)
        return ""


def remove_kept(folder: Path) -> None:
    """Remove what a job has kept, after its end."""
    shutil.rmtree(keep_folder(folder), ignore_errors=True)
