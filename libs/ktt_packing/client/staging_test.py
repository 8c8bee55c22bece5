"""The staged sources import only staged modules, or packages that a bundle installs."""

from __future__ import annotations

import ast
import json

import pytest

from ktt_core.errors import UnsupportedError
from ktt_core.model import Model
from ktt_core.registry import register
from ktt_packing.client.staging import find_service, stage_sources

FILES = """
ktt_serving/__init__.py ktt_serving/service.py ktt_serving/service_test.py ktt_serving/BUILD
ktt_serving/serving_fixtures.py ktt_serving/try_page/index.html
monitoring/__init__.py monitoring/app.py monitoring/app_test.py monitoring/requirements.txt
monitoring/bundle/monitoring.py monitoring/bundle/.dockerignore monitoring/.ruff_cache/content
outside/__init__.py outside/model.py outside/bentoml/svc_lts.py outside/bentoml/dashboard.json
bare/__init__.py module.py
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Stand-ins for sources that this Python cannot import."""
    root = tmp_path / "installed"
    for name in FILES.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("raise AssertionError('nobody imports it')\n")
    monkeypatch.syspath_prepend(str(root))
    return root


def staged(target):
    return {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}


def test_a_model_s_service_and_the_shared_sources_are_staged(installed, tmp_path):
    target = tmp_path / "sources"
    stage_sources(target, "outside", "outside")
    names = staged(target)
    assert {
        "ktt_serving/service.py",
        "ktt_serving/try_page/index.html",
        "ktt_packing/contents.py",
        "ktt_packing/request.py",
        "ktt_packing/packer/__main__.py",
        "ktt_packing/packer/bundle_files/start",
        "ktt_packing/packer/requirements/tfidf.txt",
        "ktt_packing/packer/templates/prometheus/prometheus.yaml",
        "monitoring/monitoring.py",
        "monitoring/requirements.txt",
        "monitoring/.dockerignore",
        "monitoring/ktt_monitor/__init__.py",
        "monitoring/ktt_monitor/app.py",
        "outside/bentoml/svc_lts.py",
        "outside/bentoml/dashboard.json",
        "ktt_core/taxonomy.py",
        "ktt_core/decoding/paths.py",
    } <= names
    assert not {"outside/model.py", "ktt_core/model.py", "monitoring/app.py"} & names
    assert not [name for name in names if name.startswith("ktt_packing/client")]
    assert "monitoring/ktt_monitor/bundle/monitoring.py" not in names
    assert not [
        name for name in names if name.endswith(("_test.py", "_fixtures.py", "BUILD", ".pyc"))
    ]
    assert not [name for name in names if "_cache" in name]
    assert "raise" not in (target / "outside/__init__.py").read_text()


def test_the_staged_core_is_complete(installed, tmp_path):
    target = tmp_path / "sources"
    stage_sources(target, "outside", "outside")
    names = staged(target)
    for path in (target / "ktt_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ktt_core."):
                place = (node.module or "").replace(".", "/")
                assert {f"{place}.py", f"{place}/__init__.py"} & names, (path, node.module)


@pytest.mark.parametrize("package", ["bare", "module", "nowhere"])
def test_a_model_without_a_service_is_reported(installed, package):
    with pytest.raises(UnsupportedError, match=r"no bentoml/svc_lts\.py in the package"):
        find_service("outside", package)


def test_an_installation_without_the_sources_is_reported(tmp_path, monkeypatch, installed):
    monkeypatch.setattr("ktt_packing.client.staging.MONITORING", "monitoring_that_is_not_here")
    with pytest.raises(UnsupportedError, match="lacks the sources of monitoring_that"):
        stage_sources(tmp_path / "sources", "outside", "outside")


SERVICE = '''"""Like that as a BentoML service."""
class LikeThatService(ClassifierService):
    """Like that: says where."""
'''
DASHBOARD = {"uid": "ktt-like", "title": "KTT: Like that", "description": "Inference with like."}


def test_a_service_of_another_model_gets_this_model_s_names(installed, tmp_path, monkeypatch):
    monkeypatch.setattr("ktt_packing.client.staging._BUNDLED", "bundled")
    monkeypatch.setattr("ktt_core.registry._entries", {})
    other = installed / "bundled/like/bentoml"
    other.mkdir(parents=True)
    (other.parent / "__init__.py").touch()
    (other / "svc_lts.py").write_text(SERVICE)
    (other / "dashboard.json").write_text(json.dumps(DASHBOARD))
    # Not all that is beside a service is text.
    (other / "more").mkdir()
    (other / "more/weights.bin").write_bytes(b"\xff")
    long_id = "my-" + "very_" * 12
    for model_id, name in (("like", "Like that"), (long_id, 'My "own" \\ model')):
        register(model_id, display_name=name, framework="sklearn")(lambda: Model)
    stage_sources(tmp_path / "sources", long_id, "bare", "like")
    staged_service = tmp_path / "sources/bare/bentoml"
    code = (staged_service / "svc_lts.py").read_text()
    (service,) = (node for node in ast.parse(code).body if isinstance(node, ast.ClassDef))
    assert service.name == "My" + "Very" * 12 + "Service"
    assert ast.get_docstring(service) == 'My "own" \\ model: says where.'
    dashboard = json.loads((staged_service / "dashboard.json").read_text())
    assert dashboard["title"] == 'KTT: My "own" \\ model'
    assert dashboard["uid"] == f"ktt-{long_id}"[:40]
    assert long_id in dashboard["description"]
    assert find_service("outside", "outside", "like") == installed / "outside/bentoml"


def test_a_model_served_like_another_says_itself_what_is_watched(installed, tmp_path, monkeypatch):
    monkeypatch.setattr("ktt_packing.client.staging._BUNDLED", "bundled")
    monkeypatch.setattr("ktt_core.registry._entries", {})
    other, own = installed / "bundled/like/bentoml", installed / "bare/bentoml"
    for folder in (other, own):
        folder.mkdir(parents=True)
        (folder / "evidently.yaml").write_text(f"# of {folder.parent.name}")
    (other.parent / "__init__.py").touch()
    (other / "svc_lts.py").write_text(SERVICE)
    (other / "dashboard.json").write_text(json.dumps(DASHBOARD))
    for model_id in ("like", "mine"):
        register(model_id, display_name=model_id, framework="sklearn")(lambda: Model)
    stage_sources(tmp_path / "sources", "mine", "bare", "like")
    staged_service = tmp_path / "sources/bare/bentoml"
    assert (staged_service / "evidently.yaml").read_text() == "# of bare"
    assert json.loads((staged_service / "dashboard.json").read_text())["uid"] == "ktt-mine"
