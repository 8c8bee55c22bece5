"""What a job keeps from one attempt to the next, and what is said if no attempt ends well.

``keep`` in the job's folder is its task's; it goes when the job has ended. ``word.json`` in it is
`TaskContext.set_failure_hint`'s.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from ktt_core.atomic import atomic_file

__all__ = ["forget", "keep_folder", "read_word", "write_word"]

_log = logging.getLogger(__name__)
_WORD = "word.json"


def keep_folder(folder: Path) -> Path:
    """Return the folder that survives the attempts of the job of a folder."""
    return folder / "keep"


def write_word(folder: Path, text: str, if_there: Path) -> None:
    """Keep what to tell if the job fails, provided that a file is there then."""
    word = {"text": text, "if_there": str(if_there.absolute())}
    with atomic_file(keep_folder(folder) / _WORD) as temporary:
        temporary.write_text(json.dumps(word), encoding="utf-8")


def read_word(folder: Path) -> str:
    """Return what to tell of a job that failed, or ""."""
    path = keep_folder(folder) / _WORD
    try:
        word = json.loads(path.read_text(encoding="utf-8"))
        return str(word["text"]) if Path(word["if_there"]).is_file() else ""
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        # It is written atomically, so another program wrote this.
        _log.exception("%s cannot be read", path)
        return ""


def forget(folder: Path) -> None:
    """Remove what a job kept, which has ended."""
    shutil.rmtree(keep_folder(folder), ignore_errors=True)
