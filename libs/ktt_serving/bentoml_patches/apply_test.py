"""Every change to BentoML is listed, is made, and is for the versions that bundles pin."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from ktt_serving.bentoml_patches.apply import PATCHES, Patch

PACKER = Path(__file__).parents[2] / "ktt_packing" / "packer"
REQUIREMENTS = sorted((PACKER / "requirements").glob("*.txt"))

# Says of what is listed which has changed.
_CODE = """
import importlib, json, sys

from ktt_serving.bentoml_patches.apply import PATCHES, apply

def found(place):
    module, _, names = place.partition(":")
    value = importlib.import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return value

process, settings = sys.argv[1], json.loads(sys.argv[2])
patches = [patch for patch in PATCHES if patch.process == process]
before = [[found(place) for place in patch.touches] for patch in patches]
{before}
apply(process, **settings)
after = [[found(place) for place in patch.touches] for patch in patches]
{after}
"""
_SETTINGS = {
    "launcher": {"host": "127.0.0.1", "port": 5000, "workers_at": "workers.sock"},
    "service": {},
}


def name(patch: Patch) -> str:
    return patch.make.__name__


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    return partial(_run, {"PYTHONPATH": ":".join(sys.path), "BENTOML_HOME": str(tmp_path)})


def _run(environment: Mapping[str, str], process: str, *, before: str = "", after: str) -> str:
    code = _CODE.format(before=before, after=after)
    arguments = [sys.executable, "-c", code, process, json.dumps(_SETTINGS[process])]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pins(file: Path) -> dict[str, str]:
    text = file.read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))


@pytest.mark.parametrize("patch", PATCHES, ids=name)
def test_a_change_is_for_the_versions_that_are_pinned(patch: Patch) -> None:
    advice = "look whether it still fits, then raise its version in bentoml_patches/apply.py"
    assert REQUIREMENTS and "bentoml" in patch.made_for
    for package, made_for in patch.made_for.items():
        if package == "python":
            assert made_for == "{}.{}".format(*sys.version_info), advice
            continue
        assert version(package) == made_for, f"{package} is installed: {advice}"
        for file in REQUIREMENTS:
            assert pins(file)[package] == made_for, f"{package} of {file.name}: {advice}"


@pytest.mark.parametrize("process", ["launcher", "service"])
def test_every_listed_change_is_made(process: str, run: Callable[..., str]) -> None:
    changed = json.loads(
        run(process, after="print(json.dumps([a != b for a, b in zip(before, after)]))")
    )
    listed = [name(patch) for patch in PATCHES if patch.process == process]
    unchanged = [patch for patch, is_changed in zip(listed, changed, strict=True) if not is_changed]
    # What this one changes is in a cache.
    assert unchanged == [patch for patch in listed if patch == "forget_usage_setting"]


def test_nobody_is_told_of_a_service_whatever_was_read_before(run: Callable[..., str]) -> None:
    said = run(
        "service",
        before="first = found('bentoml.utils.usage_stats:_do_not_track')()",
        after="print(first, found('bentoml.utils.usage_stats:_do_not_track')())",
    )
    assert said == "False True\n"


def test_the_launcher_leaves_it_to_the_workers_to_import_metrics(run: Callable[..., str]) -> None:
    # Their folder is read on import, and is not known yet.
    assert run("launcher", after="print('prometheus_client' in sys.modules)") == "False\n"


def test_a_service_s_changes_are_made_once_however_often_it_is_loaded(
    run: Callable[..., str],
) -> None:
    after = """
once = [[found(place) for place in patch.touches] for patch in patches]
apply(process)
print(once == [[found(place) for place in patch.touches] for patch in patches])
"""
    assert run("service", after=after) == "True\n"
