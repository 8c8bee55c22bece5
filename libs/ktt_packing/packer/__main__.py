"""The packer as a program: ``python -m ktt_packing.packer REQUEST.json``.

Says one line of JSON on its standard output, ``{"inference": "<path>"}`` or ``{"error": "..."}``;
the exit code of the latter is 1. What BentoML has to say goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ktt_core.errors import InvalidArgumentError, KttError
from ktt_packing.packer.layout import LayoutError
from ktt_packing.packer.pack import pack
from ktt_packing.request import read_request

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack what a request asks for; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _stdout_kept() as say:
        try:
            if len(given) != 1:
                raise InvalidArgumentError("give one argument, the path of a request")
            answer = {"inference": str(pack(read_request(Path(given[0]))))}
        except (KttError, LayoutError) as error:
            answer = {"error": str(error)}
        except OSError as error:
            # A full disk says it by its number alone.
            answer = {"error": f"{error.filename or 'the bundle'}: {error.strerror or error}"}
        except Exception as error:  # the caller sees one line, the log the rest
            logging.getLogger(__name__).exception("packing failed")
            answer = {"error": f"packing failed with {type(error).__name__}: {error}"}
        say(json.dumps(answer))
    return int("error" in answer)


@contextlib.contextmanager
def _stdout_kept() -> Iterator[Callable[[str], None]]:
    """Give a function that writes a line to standard output; all else goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)

    def say(line: str) -> None:
        os.write(kept, f"{line}\n".encode())

    try:
        yield say
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


if __name__ == "__main__":
    sys.exit(main())
