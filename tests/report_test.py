"""The report of a training run, from the workspace and from a trainer: the same page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import Ktt


@pytest.fixture(params=["here", "there"])
def call(request: pytest.FixtureRequest, ktt: Ktt, remote: Ktt, trained: None) -> Ktt:
    """Return `ktt` on a workspace, or on services, where "shop" has one trained model."""
    return ktt if request.param == "here" else remote


def test_a_report_is_fetched_by_its_dataset_or_its_job(call: Ktt, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = call("report", "shop", "-m", "tfidf_hsgd", "-o", page)
    assert (done.code, done.out) == (0, f"wrote {page}\n"), done.err
    assert b"report-data" in page.read_bytes()
    time = call("checkpoints", "--json").json[0]["time"]
    # The only model that is trained need not be named; "-" is standard output.
    assert call("report", "shop", "-t", time, "-o", "-").out.encode() == page.read_bytes()
    job = call("jobs", "list", "--kind", "training", "--json").json[0]["id"]
    other = tmp_path / "other.html"
    assert call("jobs", "report", job, "-o", other).code == 0
    assert other.read_bytes() == page.read_bytes()


def test_without_a_file_it_says_where_the_report_is(
    ktt: Ktt, remote: Ktt, trained: None, workspace: Path
) -> None:
    here = ktt("report", "shop", "--json").json
    assert Path(here["path"]).parent == workspace / "weights" / "tfidf_hsgd" / "shop"
    there = remote("report", "shop", "--json").json
    assert there["path"] == f"tfidf_hsgd_shop_{there['time']}_report.html"
    assert os.path.getsize(there["path"]) > 1000


def test_what_there_is_no_report_of_is_told_with_those_there_are(call: Ktt) -> None:
    other = call("report", "shop", "-m", "tfidf_lsgd")
    assert other.code == 3
    assert "tfidf_hsgd" in other.err
    time = call("checkpoints", "--json").json[0]["time"]
    old = call("report", "shop", "-m", "tfidf_hsgd", "-t", "2020-01-01T00:00:00")
    assert old.code == 3
    assert time in old.err
    assert call("report", "nothing", "-m", "tfidf_hsgd").code == 3
    assert call("report", "shop", "-m", "../..").code == 2
    evaluated = call("evaluate", "shop", "-m", "tfidf_hsgd")
    assert evaluated.code == 0
    job = call("jobs", "list", "--kind", "evaluation", "--json").json[0]["id"]
    assert call("jobs", "report", job).code == 5


def test_models_that_are_left_out_are_those_that_are_trained(call: Ktt, tmp_path: Path) -> None:
    assert len(call("evaluate", "shop", "--json").json) == 1
    exported = call("export", "shop", "--output", tmp_path / "served", "--json")
    assert [entry["model"] for entry in exported.json] == ["tfidf_hsgd"]
    assert call("export", "shop", "-m", "all", "--output", tmp_path / "served").code == 0
    assert call("predict", "shop", "red football").code == 0
    # Nothing is left of all that could be exported so.
    quantized = call("export", "shop", "--quantize", "int8", "--output", tmp_path / "served")
    assert quantized.code == 2
    assert "tfidf_hsgd on shop" in quantized.err


def test_one_of_several_models_is_to_be_named(ktt: Ktt, shop: str) -> None:
    assert ktt("train", "shop", "-m", "tfidf_hsgd,tfidf_lsgd", "-e", "1").code == 0
    for command in (["predict", "shop", "red football"], ["report", "shop"]):
        asked = ktt(*command)
        assert asked.code == 2
        assert "tfidf_hsgd, tfidf_lsgd" in asked.err
    assert len(ktt("evaluate", "shop", "--json").json) == 2
