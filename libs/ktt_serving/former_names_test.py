"""Other packages find what they import under its former names for one more release."""

from __future__ import annotations

import importlib

import pytest

from ktt_packing.packer import layout
from ktt_serving import adapters, artifact_files, scores, scoring


def test_the_adapters_are_found_as_wire() -> None:
    with pytest.warns(DeprecationWarning, match="ktt_serving.wire is now ktt_serving.adapters"):
        wire = importlib.reload(importlib.import_module("ktt_serving.wire"))
    assert (wire.text_api, wire.TextTask) == (adapters.text_api, adapters.TextTask)
    assert set(wire.__all__) == set(adapters.__all__)


def test_the_layout_of_a_bundle_is_found_beside_its_service() -> None:
    with pytest.warns(DeprecationWarning, match="is ktt_packing.packer.layout now"):
        former = importlib.reload(importlib.import_module("ktt_serving.layout"))
    assert former.init_folder_structure is layout.init_folder_structure


def test_scores_and_readers_are_found_beside_what_reads_a_model() -> None:
    assert (scoring.Scorer, scoring.Scores) == (scores.Scorer, scores.Scores)
    for name in artifact_files.__all__:
        assert getattr(scoring, name) is getattr(artifact_files, name)
