"""Write the reference of the Python interface anew, from the docstrings of the libraries.

``./pants run build-support/reference:generate`` does it, in the root of the repository.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reference.page import page

__all__ = ["LIBRARIES", "PAGE", "main"]

LIBRARIES = Path("libs")
PAGE = Path("docs/python-reference.md")


def main() -> int:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if not LIBRARIES.is_dir():
        print(
            f"error: found no {LIBRARIES}: start this in the root of the repository",
            file=sys.stderr,
        )
        return 2
    PAGE.write_text(page(LIBRARIES), encoding="utf-8")
    print(f"{PAGE} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
