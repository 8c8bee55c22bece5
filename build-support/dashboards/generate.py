"""Write the dashboards of all bundled models anew.

``./pants run build-support/dashboards:generate`` does it, in the root of the repository.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from dashboards.build import dashboard_json
from dashboards.models import registered_models

__all__ = ["FILE", "MODELS", "main", "stale", "write"]

MODELS = Path("libs/ktt_models")
#: Below a model's folder.
FILE = Path("bentoml/dashboard.json")


def _contents(folder: Path) -> dict[Path, str]:
    models = registered_models(folder)
    return {folder / model.name / FILE: dashboard_json(model) for model in models}


def stale(folder: Path) -> list[str]:
    """Return which dashboards are missing, left over, or not what would be written now.

    Parameters
    ----------
    folder
        The models' folder.
    """
    contents = _contents(folder)
    files = contents.keys() | set(folder.glob(f"*/{FILE}"))
    return sorted(
        str(file)
        for file in files
        if not file.exists() or file.read_text(encoding="utf-8") != contents.get(file)
    )


def write(folder: Path) -> list[Path]:
    """Write every model's dashboard, each whole or not at all, and return the files."""
    contents = _contents(folder)
    for file, content in contents.items():
        file.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, delete=False, encoding="utf-8"
        ) as new:
            new.write(content)
        os.chmod(new.name, 0o644)
        os.replace(new.name, file)
    return list(contents)


def main() -> int:
    """Write the dashboards."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if not MODELS.is_dir():
        print(
            f"error: found no {MODELS}: start this in the root of the repository", file=sys.stderr
        )
        return 2
    files = write(MODELS)
    print(f"{len(files)} dashboards, {FILE} of each model in {MODELS}, are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
