"""What a bundle is installed from is complete: pip is told not to look for more."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement  # pants: no-infer-dep
from packaging.utils import canonicalize_name  # pants: no-infer-dep

FOLDER = Path(__file__).parent / "requirements"
OVERRIDES, EXCLUDES = (
    Path(f"3rdparty/python/bundle-{name}.in") for name in ("overrides", "excludes")
)


def names(file: Path) -> set[str]:
    found = re.findall(r"^[A-Za-z][\w.-]*", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name) for name in found}


@pytest.mark.parametrize("kind", ["tfidf", "encoder"])
def test_what_a_package_asks_for_is_there_or_left_out_on_purpose(kind):
    pinned, left_out = names(FOLDER / f"{kind}.txt"), names(EXCLUDES)
    asked = {
        (package, canonicalize_name(requirement.name))
        # Those that are newer in a bundle are of another version here.
        for package in pinned - names(OVERRIDES)
        for requirement in map(Requirement, requires(package) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert {pair for pair in asked if pair[1] not in pinned | left_out} == set()
