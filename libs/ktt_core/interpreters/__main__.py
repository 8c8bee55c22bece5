"""``python -m ktt_core.interpreters 3.9 3.11``: print a Python of each version, one per line.

Missing ones are fetched first. ``./pants`` runs it.
"""

from __future__ import annotations

import sys

from ktt_core.errors import KttError
from ktt_core.interpreters.provision import provide_interpreters

__all__ = ["main"]


def main() -> int:
    """Print the interpreters' paths, or the error."""
    try:
        found = provide_interpreters(sys.argv[1:])
    except KttError as error:
        print(f"ktt: error: {error}", file=sys.stderr)
        return 1
    for version in sys.argv[1:]:
        print(found[version])
    return 0


if __name__ == "__main__":
    sys.exit(main())
