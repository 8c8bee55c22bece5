"""The contracts keep the rules, what is made of them is up to date, and both checks can fail."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos import generate, reference, toolchain

CONTRACTS = Path("proto")
JOBS = "ktt/jobs/v1/jobs.proto"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contracts, free to be changed."""
    return Path(shutil.copytree(CONTRACTS, tmp_path / "proto"))


@pytest.fixture
def described(tmp_path: Path) -> FileDescriptorSet:
    return toolchain.describe(CONTRACTS, tmp_path)


def change(folder: Path, old: str, new: str) -> None:
    file = folder / JOBS
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def release(folder: Path, version: str = "99.0.0") -> None:
    (folder / "released").mkdir(exist_ok=True)
    toolchain.buf(folder, "build", "--output", f"released/{version}.binpb")


def test_the_contracts_keep_the_rules_and_what_was_released() -> None:
    generate.check(CONTRACTS)


def test_a_release_is_kept() -> None:
    assert generate.released(CONTRACTS) is not None


def test_the_contracts_are_formatted() -> None:
    assert toolchain.buf(CONTRACTS, "format", "--diff") == ""


def test_the_code_and_the_reference_are_what_the_contracts_make() -> None:
    assert (
        generate.stale(CONTRACTS, generate.REFERENCE) == []
    ), "make them anew: ./pants run build-support/protos:generate"


def test_everything_in_the_contracts_is_explained(described: FileDescriptorSet) -> None:
    """Also what no rule of buf's asks for: nothing says only its own name again."""
    page = reference.page(described)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if not re.search(r"\w{2,}[^|]* \|$", row)] == []
    headings = re.findall(r"\n### (\w+)\n\n(.)", page)
    assert len(headings) > 50
    assert [name for name, explained in headings if explained in "|#"] == []


def test_every_link_of_the_reference_leads_somewhere(described: FileDescriptorSet) -> None:
    page = reference.page(described)
    headings = {
        re.sub(r"[^\w-]", "", line.lstrip("# ")).lower()
        for line in page.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) - headings == set()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("map<string, double> metrics", "map<string, double> Metrics", "lower_snake_case"),
        ("JOB_STATE_QUEUED", "QUEUED", "prefixed"),
        ('  // What a unit is: "rows", "epochs" ...\n', "", "non-empty comment"),
        ("JOB_STATE_UNSPECIFIED", "JOB_STATE_NONE", "_UNSPECIFIED"),
    ],
)
def test_a_broken_rule_is_found(copy: Path, old: str, new: str, complaint: str) -> None:
    change(copy, old, new)
    with pytest.raises(toolchain.ToolError, match=complaint):
        toolchain.buf(copy, "lint")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  string unit = 4;", "  string unit = 14;"),
        ("  string unit = 4;", "  bytes unit = 4;"),
        ("  string unit = 4;", "  string measure = 4;"),
        ("  JOB_STATE_CANCELLED = 5;", "  JOB_STATE_CANCELED = 5;"),
    ],
)
def test_a_change_that_breaks_clients_is_found(copy: Path, old: str, new: str) -> None:
    release(copy)
    generate.check(copy)
    change(copy, old, new)
    with pytest.raises(toolchain.ToolError, match="jobs.proto"):
        generate.check(copy)


def test_a_new_field_breaks_nothing(copy: Path) -> None:
    release(copy)
    change(copy, "  string unit = 4;", "  string unit = 4;\n  // New.\n  string more = 99;")
    generate.check(copy)


def test_the_last_release_is_the_highest_version(tmp_path: Path) -> None:
    assert generate.released(tmp_path) is None
    (tmp_path / "released").mkdir()
    for name in ("0.9.0.binpb", "0.10.0.binpb", "0.2.11.binpb", "draft.binpb"):
        (tmp_path / "released" / name).touch()
    last = generate.released(tmp_path)
    assert last is not None
    assert last.name == "0.10.0.binpb"


def test_stale_missing_and_left_over_files_are_found(copy: Path, tmp_path: Path) -> None:
    page = tmp_path / "api-reference.md"
    generate.write(copy, page)
    assert generate.stale(copy, page) == []
    (copy / "ktt/jobs/v1/old_pb2.py").touch()
    (copy / "ktt/artifacts/v1/export_manifest_pb2.pyi").unlink()
    change(copy, "  string unit = 4;", "  string unit = 4;\n  // New.\n  string more = 99;")
    assert generate.stale(copy, page) == [
        "ktt/artifacts/v1/export_manifest_pb2.pyi",
        "ktt/jobs/v1/jobs_pb2.py",
        "ktt/jobs/v1/jobs_pb2.pyi",
        "ktt/jobs/v1/old_pb2.py",
        "api-reference.md",
    ]
    generate.write(copy, page)
    assert generate.stale(copy, page) == []
    assert "| `more` | `string` | 99 | New. |" in page.read_text()


def test_a_contract_that_does_not_compile_is_an_error(copy: Path, tmp_path: Path) -> None:
    change(copy, "  string unit = 4;", "  string unit = four;")
    with pytest.raises(toolchain.ToolError):
        toolchain.describe(copy, tmp_path)


def test_two_things_of_one_name_are_refused(described: FileDescriptorSet) -> None:
    described.file[0].message_type.add(name="JobStatus")
    with pytest.raises(reference.PageError, match="JobStatus"):
        reference.page(described)
