"""What a bundle carries of KTT's sources, and what packs it: the one list, which both ends go by.

The client stages these files for a packer, and the packer copies into a bundle what it carries.
The BUILD files of the packages say the same, for what they allow those files to import and what
programs hold of them; a test compares. Needs the standard library alone.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["CARRIED", "MONITORING", "PACKING", "copy_files", "copy_monitoring", "source_files"]

#: What every bundle carries, by package: patterns of files in its folder.
CARRIED: Mapping[str, tuple[str, ...]] = {
    "ktt_core": (
        "__init__.py",
        "errors.py",
        "labels.py",
        "names.py",
        "subprocesses.py",
        "taxonomy.py",
        "texts.py",
        "decoding/**/*.py",
        "preprocessors/**/*.py",
        "tfidf/**/*.py",
    ),
    "ktt_serving": (
        "*.py",
        "bentoml_patches/*.py",
        "try_page/*.html",
        "try_page/*.css",
        "try_page/*.js",
        "try_page/*.svg",
    ),
}
#: What packs a bundle and is not in it, for a packer that has nothing but its requirements.
PACKING: Mapping[str, tuple[str, ...]] = {"ktt_packing": ("*.py", "packer/**/*")}
#: The package of the monitoring service, and its folder in a bundle.
MONITORING = "monitoring"

_LEFT_OUT = (
    "__pycache__", "*.pyc", "BUILD", "conftest.py", "*_test.py", "*_fixtures.py", "testdata",
    ".*_cache",
)  # fmt: skip


def source_files(folder: Path, patterns: Iterable[str] = ("**/*",)) -> Iterator[Path]:
    """Yield the files that match, relative to a folder, without tests and what tools leave."""
    for pattern in patterns:
        # Unlike that of pathlib it looks into folders that are links, as some installations have.
        for name in sorted(
            glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True)
        ):
            file = Path(name)
            if (folder / file).is_file() and not _left_out(file):
                yield file


def copy_files(folder: Path, target: Path, patterns: Iterable[str] = ("**/*",)) -> None:
    """Copy `source_files` to the same places in another folder."""
    for file in source_files(folder, patterns):
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, copy)


def copy_monitoring(folder: Path, target: Path) -> None:
    """Copy the monitoring service from KTT's own tree: what is started, and its package beside it.

    In the tree the former stands in a folder of its own, with the package around it.
    """
    copy_files(folder / "bundle", target)
    copy_files(folder, target, ["requirements.txt"])
    copy_files(folder, target / "ktt_monitor", ["*.py"])


def _left_out(file: Path) -> bool:
    return any(fnmatch(part, pattern) for part in file.parts for pattern in _LEFT_OUT)
