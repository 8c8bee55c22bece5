"""Every lock satisfies its requirements, pins by hash and names no place to download from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CONFIGURATION = tomllib.loads(Path("pants.toml").read_text())["python"]
# The one Python of all resolves.
(PYTHON,) = re.findall(r"CPython==(3\.\d+)\.\*", " ".join(CONFIGURATION["interpreter_constraints"]))
FOLDER = Path("3rdparty/python")
REFRESH = "refresh it with 3rdparty/python/lock"


@dataclass(frozen=True)
class Pin:
    """One entry of a lock."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> Version:
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "==", f"not pinned: {self.requirement}"
        return Version(specifier.version)


def requirements(text: str, folder: Path = FOLDER) -> Iterator[Requirement]:
    """Read a requirements file and those it takes in with ``-r``; ``-c`` files ask for nothing."""
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line.startswith("-r "):
            yield from requirements((folder / line[3:].strip()).read_text(), folder)
        elif line and not line.startswith("-c "):
            yield Requirement(line)


def pins(text: str) -> list[Pin]:
    """Read a lock."""
    entries = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            pin, *hashes = re.split(r"\s+--hash=", line.strip())
            entries.append(Pin(Requirement(pin), tuple(hashes)))
    return entries


def holds(requirement: Requirement, python: str) -> bool:
    """Whether a requirement's marker is true on Linux with that Python."""
    environment = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "extra": "",
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def unmet(wanted: list[Requirement], lock: list[Pin], python: str) -> list[str]:
    """Say which requirements the lock does not satisfy, and how."""
    found: dict[str, list[Pin]] = {}
    for pin in lock:
        # With extras it is pinned once more, for pip.
        if holds(pin.requirement, python) and not pin.requirement.extras:
            found.setdefault(canonicalize_name(pin.requirement.name), []).append(pin)
    problems = [
        f"{name} is pinned {len(same)} times" for name, same in found.items() if len(same) > 1
    ]
    for requirement in wanted:
        if not holds(requirement, python):
            continue
        pinned = found.get(canonicalize_name(requirement.name))
        if pinned is None:
            problems.append(f"{requirement} is not in the lock")
        elif not requirement.specifier.contains(pinned[0].version, prereleases=True):
            problems.append(f"{requirement} is wanted, {pinned[0].version} is in the lock")
    return problems


@pytest.fixture(params=sorted(CONFIGURATION["resolves"]))
def resolve(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lock(resolve: str) -> str:
    return Path(CONFIGURATION["resolves"][resolve]).read_text()


def test_a_lock_satisfies_its_requirements(resolve: str, lock: str) -> None:
    wanted = list(requirements((FOLDER / f"{resolve}.in").read_text()))
    assert wanted, resolve
    assert unmet(wanted, pins(lock), PYTHON) == [], f"{REFRESH} {resolve}"


def test_every_entry_is_pinned_by_hash(lock: str) -> None:
    for pin in pins(lock):
        assert pin.version
        assert pin.hashes, pin.requirement
        assert all(
            re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in pin.hashes
        ), pin.requirement


def test_a_lock_names_no_place(lock: str) -> None:
    assert "://" not in lock
    assert [pin.requirement.url for pin in pins(lock) if pin.requirement.url] == []
    assert re.findall(r"--(?!hash=)\S+", lock) == []


CUDA = re.compile(r"^(?:nvidia|cuda|triton|onnxruntime-gpu)[^\s=]*", re.MULTILINE)


@pytest.mark.parametrize("resolve", sorted(set(CONFIGURATION["resolves"]) - {"gpu"}))
def test_no_resolve_but_gpu_brings_cuda(lock: str) -> None:
    assert CUDA.findall(lock) == []


@pytest.mark.parametrize("resolve", ["gpu"])
def test_the_gpu_resolve_has_cuda_of_one_version(lock: str) -> None:
    """Both torch and onnxruntime load it."""
    names = set(CUDA.findall(lock))
    assert {"nvidia-cublas", "nvidia-cudnn-cu13", "triton", "onnxruntime-gpu"} <= names
    assert {match[0] for name in names if (match := re.search(r"-cu\d+$", name))} == {"-cu13"}


def test_the_gpu_resolve_is_the_cpu_one_with_other_builds() -> None:
    gpu, cpu = (
        {pin.requirement.name: pin for pin in pins((FOLDER / f"{name}.lock").read_text())}
        for name in ("gpu", "cpu")
    )
    assert set(cpu) - set(gpu) == {"onnxruntime"}
    assert {CUDA.match(name) is not None for name in set(gpu) - set(cpu)} == {True}
    assert [name for name in set(gpu) & set(cpu) if gpu[name] != cpu[name]] == ["torch"]
    assert gpu["torch"].version.public == cpu["torch"].version.public
    assert gpu["torch"].version.local is None
    assert not set(gpu["torch"].hashes) & set(cpu["torch"].hashes)


@pytest.mark.parametrize("resolve", ["cpu", "benchmarks"])
def test_torch_is_the_build_without_cuda(lock: str) -> None:
    versions = [pin.version for pin in pins(lock) if pin.requirement.name == "torch"]
    assert [version.local for version in versions] == ["cpu"]


@pytest.mark.parametrize("resolve", ["cpu", "gpu", "benchmarks", "bento", "monitoring", "protos"])
def test_the_test_runner_and_the_tests_agree_on_its_version(resolve: str, lock: str) -> None:
    """Both are on one path when a test runs."""
    runner = pins(Path(CONFIGURATION["resolves"]["pytest"]).read_text())
    versions = {pin.requirement.name: pin.version for pin in pins(lock)}
    expected = {
        pin.requirement.name: pin.version for pin in runner if holds(pin.requirement, PYTHON)
    }
    assert {name: versions.get(name, version) for name, version in expected.items()} == expected


def test_the_contracts_are_generated_by_what_runs_them() -> None:
    """Generated code refuses an older protobuf or grpcio than it was made by."""
    generating, running = (
        {pin.requirement.name: pin.version for pin in pins((FOLDER / name).read_text())}
        for name in ("protos.lock", "cpu.lock")
    )
    assert generating["grpcio-tools"] == running["grpcio"]
    assert generating["protobuf"] == running["protobuf"]


#: What bundles run on, by the file that is handed out: its requirements, and the lock it is of.
PARTS = {
    "libs/ktt_packing/packer/requirements/packer.txt": ("bundle-packer", "bento"),
    "libs/ktt_packing/packer/requirements/tfidf.txt": ("bundle-tfidf", "bento"),
    "libs/ktt_packing/packer/requirements/encoder.txt": ("bundle-encoder", "bento"),
    "libs/ktt_packing/packer/requirements/encoder-gpu.txt": ("bundle-encoder-gpu", "bento"),
    "services/monitoring/requirements.txt": ("bundle-monitoring", "monitoring"),
}

#: Installed with ``--no-deps``: newer than BentoML's metadata allows, without what nothing imports.
BEYOND_METADATA = {part for part, (name, _) in PARTS.items() if "packer" not in name} - {
    "services/monitoring/requirements.txt"
}


def names(file: str) -> set[str]:
    """Name what a file of requirements asks for."""
    return {canonicalize_name(found.name) for found in requirements((FOLDER / file).read_text())}


class TestWhatBundlesRunOn:
    @pytest.fixture(params=sorted(PARTS))
    def part(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_it_satisfies_its_requirements_and_names_no_place(self, part: str) -> None:
        name, _ = PARTS[part]
        text = Path(part).read_text()
        wanted = list(requirements((FOLDER / f"{name}.in").read_text()))
        assert unmet(wanted, pins(text), PYTHON) == [], f"{REFRESH} {name}"
        assert all(pin.hashes for pin in pins(text))
        assert "://" not in text

    def test_it_is_what_the_tests_run_on(self, part: str) -> None:
        """The same versions and files as the resolve has, but for the build with CUDA."""
        whole, own = (
            {pin.requirement.name: (pin.version, pin.hashes) for pin in pins(path.read_text())}
            for path in (FOLDER / f"{PARTS[part][1]}.lock", Path(part))
        )
        others = {name for name, pinned in own.items() if whole.get(name) != pinned}
        allowed = names("bundle-overrides.in") if part in BEYOND_METADATA else set()
        if part.endswith("encoder-gpu.txt"):
            allowed.add("onnxruntime-gpu")
        assert others <= allowed
        assert not part.endswith("encoder-gpu.txt") or "onnxruntime-gpu" in others

    def test_what_nothing_imports_is_left_out_of_bundles(self, part: str) -> None:
        own = {pin.requirement.name for pin in pins(Path(part).read_text())}
        if part in BEYOND_METADATA:
            assert not own & names("bundle-excludes.in")

    def test_what_is_beyond_the_metadata_is_newer(self, part: str) -> None:
        whole, own = (
            {pin.requirement.name: pin.version for pin in pins(path.read_text())}
            for path in (FOLDER / f"{PARTS[part][1]}.lock", Path(part))
        )
        assert [name for name in set(own) & set(whole) if own[name] < whole[name]] == []

    def test_pip_finds_a_pin_for_whoever_asks_with_extras_and_without(self, part: str) -> None:
        """``--require-hashes`` takes the two for different packages."""
        entries = pins(Path(part).read_text())
        alone = [pin.requirement.name for pin in entries if not pin.requirement.extras]
        assert sorted(alone) == sorted({pin.requirement.name for pin in entries})
        extras = {pin.requirement.name for pin in entries if pin.requirement.extras}
        assert ("pandas" in extras) == part.startswith("services/monitoring/")

    def test_no_training_package_is_among_them(self, part: str) -> None:
        names = {pin.requirement.name for pin in pins(Path(part).read_text())}
        assert not names & {"torch", "transformers", "pytest", "hypothesis"}
        # Evidently needs scikit-learn; what answers does not.
        assert "scikit-learn" not in names or part.startswith("services/monitoring/")


class TestTheCheckItself:
    LOCK = (
        "Some_Name==2.1.0 \\\n    --hash=sha256:00\n"
        "old==1.0 ; python_version < '3.11' \\\n    --hash=sha256:11\n"
    )

    def check(self, wanted: str, python: str = "3.11") -> list[str]:
        return unmet(list(requirements(wanted)), pins(self.LOCK), python)

    def test_spelling_and_comments_do_not_matter(self) -> None:
        assert self.check("# a comment\nsome-name>=2 # another\n\n") == []

    def test_a_missing_entry_is_found(self) -> None:
        assert self.check("other") == ["other is not in the lock"]

    def test_a_version_conflict_is_found(self) -> None:
        assert self.check("some.name<2") == ["some.name<2 is wanted, 2.1.0 is in the lock"]

    def test_an_entry_for_another_python_does_not_count(self) -> None:
        assert self.check("old") == ["old is not in the lock"]
        assert self.check("old", "3.10") == []

    def test_a_requirement_for_another_python_is_not_asked_for(self) -> None:
        assert self.check("other; python_version < '3.11'") == []

    def test_a_local_version_satisfies_its_public_one(self) -> None:
        lock = pins("torch==2.13.0+cpu --hash=sha256:00")
        assert unmet([Requirement("torch==2.13.0")], lock, "3.11") == []

    def test_two_versions_at_once_are_found(self) -> None:
        assert unmet([], pins("a==1\na==2\n"), "3.11") == ["a is pinned 2 times"]
