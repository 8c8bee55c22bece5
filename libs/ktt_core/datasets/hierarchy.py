"""``hierarchy.json``: a dataset's taxonomy, import options and statistics of its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ktt_core.documents import Document, parse_object
from ktt_core.errors import DataError
from ktt_core.taxonomy import Taxonomy

__all__ = [
    "FILE_NAME",
    "FORMAT_VERSION",
    "SPLITS",
    "Hierarchy",
    "contents_fingerprint",
    "damaged",
    "parse_hierarchy",
    "write_hierarchy",
]

FILE_NAME = "hierarchy.json"
FORMAT_VERSION = 2

#: In the order of the split codes of an import.
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Hierarchy(Document):
    """The contents of ``hierarchy.json``.

    Attributes
    ----------
    created : str
        UTC, ISO 8601.
    source : mapping
        "file" (its name without folders) and "bytes".
    fingerprint : str
        `contents_fingerprint`: differs where the rows or their splits may differ.
    source_fingerprint : str
        "sha256:" and the hex digest of the source's bytes.
    options : mapping
        `ImportOptions.to_json` of the import.
    sizes : mapping of str to int
        Rows per split.
    text : mapping of str to mapping
        Per split "mean_characters" and "max_characters".
    report : mapping
        `ImportReport.to_json`: counts of rows read and dropped, and warnings.
    versions : mapping of str to str
        Versions of the packages that wrote the files.
    taxonomy : Taxonomy
    """

    __pydantic_config__ = {**Document.__pydantic_config__, "arbitrary_types_allowed": True}

    created: str
    source: Mapping[str, Any]
    fingerprint: str
    source_fingerprint: str
    options: Mapping[str, Any]
    sizes: Mapping[str, int]
    text: Mapping[str, Any]
    report: Mapping[str, Any]
    versions: Mapping[str, str]
    taxonomy: Taxonomy

    def __post_init__(self) -> None:
        if set(self.sizes) != set(SPLITS) or any(rows < 0 for rows in self.sizes.values()):
            raise ValueError("'sizes' must hold the rows of train, val and test")


def write_hierarchy(path: Path, hierarchy: Hierarchy) -> None:
    """Write the file; its size is linear in the number of classes."""
    value = {"format": FORMAT_VERSION, **hierarchy.to_json()}
    # Lone surrogates, as in file names that are not UTF-8, are written as JSON escapes.
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        file.write("\n")


def contents_fingerprint(
    source_fingerprint: str, options: Mapping[str, Any], sizes: Mapping[str, int]
) -> str:
    """Return "sha256:" and a digest of everything that determines the rows and their splits.

    Parameters
    ----------
    source_fingerprint : str
        Fingerprint of the source's bytes.
    options : mapping
        `ImportOptions.to_json`. Options without influence on the rows are left out: the handling of
        bad rows (`sizes` reflect it) and, with a split column, the seed and the ratios.
    sizes : mapping of str to int
        Rows per split.
    """
    idle = {"on_error"}
    if options.get("split_column"):
        idle |= {"seed", "train_ratio", "val_ratio"}
    decisive = {key: value for key, value in options.items() if key not in idle}
    content = json.dumps(
        [FORMAT_VERSION, source_fingerprint, decisive, dict(sizes)], sort_keys=True
    )
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def parse_hierarchy(path: Path, content: bytes) -> Hierarchy:
    """Parse and validate the content of the file at `path`.

    Raises
    ------
    DataError
        If it is damaged, of another format version or inconsistent.
    """
    damaged_here = partial(damaged, path)
    value = parse_object(content, damaged_here)
    if value.get("format") != FORMAT_VERSION:
        raise DataError(
            f"{path} has the format version {str(value.get('format'))[:40]!r}, this program reads "
            f"{FORMAT_VERSION}: import the dataset again with --replace"
        )
    try:
        taxonomy = Taxonomy.from_json(value.get("taxonomy", {}))
    except DataError as error:
        raise damaged_here(str(error)) from None
    return Hierarchy.from_json({**value, "taxonomy": taxonomy}, damaged_here)


def damaged(path: Path, problem: str) -> DataError:
    """Return the error for an unusable file of a dataset."""
    return DataError(
        f"the dataset in {path.parent} is damaged: {path.name}: {problem}; "
        "import it again with --replace"
    )
