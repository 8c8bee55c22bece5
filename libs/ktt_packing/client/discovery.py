"""Discovery of the program that packs bundles."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ktt_core.errors import FailedPreconditionError, UnsupportedError
from ktt_core.interpreters.provision import check_interpreter
from ktt_core.interpreters.search import clean_environment
from ktt_core.progress import ProgressCallback, ignore_progress
from ktt_packing.client.environment import PYTHON_VERSION, environment_folder, make_environment
from ktt_packing.client.staging import find_package

__all__ = ["PACKER_VARIABLE", "Packer", "check_packer", "find_packer", "use_packer"]

#: Environment variable with a packer: a program that is called with the path of a request.
PACKER_VARIABLE = "KTT_PACKER"

_PACKER = "ktt_packing.packer"


@dataclass(frozen=True)
class Packer:
    """A program that packs bundles.

    Attributes
    ----------
    command : tuple of str
        Command line before the path of the request.
    imports_sources : bool
        Whether it is a plain Python, which imports the packer from the staged sources.
    """

    command: tuple[str, ...]
    imports_sources: bool = False

    def environment(self, sources: Path, scratch: Path) -> dict[str, str]:
        """Return the environment variables for the packer.

        Parameters
        ----------
        sources : Path
            Folder of `ktt_packing.client.staging`.
        scratch : Path
            Folder for BentoML's temporary files.
        """
        more = {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(scratch / "bentoml"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }
        if self.imports_sources:
            more["PYTHONPATH"] = str(sources)
        return {**clean_environment(), **more}


def use_packer(path: Path) -> None:
    """Set the packer of this process and its children.

    The choice belongs to this machine: it must not come from a request.
    """
    os.environ[PACKER_VARIABLE] = str(path.absolute())


def check_packer() -> None:
    """Fail early if there will be no packer.

    Raises
    ------
    FailedPreconditionError
        If the configured packer cannot be run, or there is none and no Python to make one with,
        and fetching Python is forbidden.
    UnsupportedError
        If this installation lacks the packer's requirements.
    """
    if _configured() is None and not environment_folder(_requirements()).exists():
        check_interpreter(
            PYTHON_VERSION, "or name a packer with KTT_PACKER; the exporter's image has one"
        )


def find_packer(progress: ProgressCallback = ignore_progress) -> Packer:
    """Return the packer of KTT_PACKER, or one in an environment that is made if missing.

    Raises
    ------
    FailedPreconditionError
        See `check_packer`.
    JobFailedError
        If the environment cannot be made.
    """
    given = _configured()
    if given is not None:
        return Packer((str(given),))
    python = make_environment(_requirements(), progress)
    return Packer((str(python), "-m", _PACKER), imports_sources=True)


def _configured() -> Path | None:
    value = os.environ.get(PACKER_VARIABLE)
    if not value:
        return None
    path = Path(value).absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise FailedPreconditionError(
            f"the packer {path} ({PACKER_VARIABLE}, or --packer) is not an executable program"
        )
    return path


def _requirements() -> Path:
    for folder in find_package(_PACKER):
        file = folder / "requirements" / "packer.txt"
        if file.is_file():
            return file
    raise UnsupportedError(
        "this installation of KTT cannot make bundles: it lacks the requirements of the packer; "
        f"name a packer with {PACKER_VARIABLE}"
    )
