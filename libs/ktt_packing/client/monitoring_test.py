"""Monitoring files of a bundle, with the library's defaults or the model's own."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ktt_core.errors import UnsupportedError
from ktt_core.model import Model
from ktt_core.reference import reference_table, write_reference
from ktt_core.registry import register
from ktt_core.taxonomy import Taxonomy
from ktt_packing.client.monitoring import monitoring_files

TAXONOMY = Taxonomy.from_paths([("a", "x"), ("b", "y")])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Return a function that writes a model's files and returns the packed monitoring files."""
    monkeypatch.setattr("ktt_core.registry._entries", {})
    register("outside", display_name="From outside", framework="numpy")(lambda: Model)
    model: Any = SimpleNamespace(model_id="outside", taxonomy=TAXONOMY)
    codes = TAXONOMY.leaf_codes[np.arange(40) % 2]
    table = reference_table(TAXONOMY, codes, np.ones((40, 1)), np.full((40, 2), 0.5))
    write_reference(table, tmp_path / "reference.parquet")

    def made(**own):
        for name, text in own.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        found, watched = monitoring_files(
            model, "shop", tmp_path, tmp_path / "reference.parquet", tmp_path, tmp_path / "scratch"
        )
        assert (watched.reference_rows, watched.window_size) == (40, 30)
        settings = found.evidently_config.read_text()
        return settings, json.loads(found.grafana_dashboard_path.read_text())

    (tmp_path / "scratch").mkdir()
    return made


def test_a_model_without_files_is_monitored_with_the_defaults(files):
    settings, dashboard = files()
    assert "  window_size: 30\n" in settings
    assert settings.endswith('prediction: ["x", "y"]\n')
    assert 'labels: ["a\\nx", "b\\ny"]' in settings
    assert dashboard["title"] == "KTT: From outside, on shop"
    assert dashboard["uid"] == "ktt-outside-shop"
    assert "outside" in dashboard["tags"] and len(dashboard["panels"]) > 20
    assert "MODEL" not in json.dumps(dashboard)


def test_a_model_may_name_its_features(files):
    settings, _ = files(model_json='{"feature_titles": ["words"]}')
    assert '\nfeature_titles: ["words"]\n' in settings
    with pytest.raises(UnsupportedError, match="has 1 features and .* 2 feature_titles"):
        files(model_json='{"feature_titles": ["words", "digits"]}')


def test_each_file_of_the_model_replaces_its_default(files):
    _, dashboard = files(dashboard_json='{"panels": ["MODEL"]}')
    assert dashboard["panels"] == ["MODEL"]
    settings, _ = files(evidently_yaml="service:\n  calculation_period_sec: 7\n")
    assert settings.startswith("service:\n  calculation_period_sec: 7\n")
