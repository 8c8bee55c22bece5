"""Write what monitors the bundled models anew, and what monitors models that bring nothing.

``./pants run build-support/dashboards:generate`` does it, in the root of the repository.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from dashboards.build import dashboard_json
from dashboards.models import ANY_MODEL, registered_models

__all__ = ["DASHBOARD", "DEFAULTS", "MODELS", "SETTINGS", "main", "stale", "write"]

LIBRARIES = Path("libs")
#: Below the libraries: the models, and what a model gets that has no such files.
MODELS, DEFAULTS = Path("ktt_models"), Path("ktt_packing/client/defaults")
DASHBOARD, SETTINGS = "dashboard.json", "evidently.yaml"


def _contents(folder: Path) -> dict[Path, str]:
    contents = {folder / DEFAULTS / DASHBOARD: dashboard_json(ANY_MODEL)}
    settings = (folder / DEFAULTS / SETTINGS).read_text(encoding="utf-8")
    for model in registered_models(folder / MODELS):
        place = folder / MODELS / model.name / "bentoml"
        # A model without that folder is served, and monitored, as another one is.
        if place.is_dir():
            contents |= {place / DASHBOARD: dashboard_json(model), place / SETTINGS: settings}
    return contents


def stale(folder: Path) -> list[str]:
    """Return which files are missing, left over, or not what would be written now.

    Parameters
    ----------
    folder
        That of the libraries.
    """
    contents = _contents(folder)
    files = set(contents)
    for name in (DASHBOARD, SETTINGS):
        files.update((folder / MODELS).glob(f"*/bentoml/{name}"))
    return sorted(
        str(file)
        for file in files
        if not file.exists() or file.read_text(encoding="utf-8") != contents.get(file)
    )


def write(folder: Path) -> list[Path]:
    """Write every model's files, each whole or not at all, and return them."""
    contents = _contents(folder)
    for file, content in contents.items():
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, delete=False, encoding="utf-8"
        ) as new:
            new.write(content)
        os.chmod(new.name, 0o644)
        os.replace(new.name, file)
    return list(contents)


def main() -> int:
    """Write the files."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if not (LIBRARIES / MODELS).is_dir():
        print(
            f"error: found no {LIBRARIES / MODELS}: start this in the root of the repository",
            file=sys.stderr,
        )
        return 2
    for file in write(LIBRARIES):
        print(f"{file} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
