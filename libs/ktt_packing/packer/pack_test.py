"""A bundle holds all it needs, and nothing of where it was packed."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from ktt_core.errors import InvalidArgumentError
from ktt_packing.packer import layout
from ktt_packing.packer.pack import pack
from ktt_packing.packer.packing_fixtures import VERSION, make_request, write_monitoring_inputs
from ktt_packing.request import MonitoringFiles, write_request
from ktt_serving.serving_fixtures import LIBS, write_onnx_artifacts, write_tfidf_artifacts


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return write_tfidf_artifacts(tmp_path_factory.mktemp("tfidf") / "artifacts")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_packer(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, "-m", "ktt_packing.packer", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_a_bundle_s_service_has_the_files_it_is_known_by(artifacts, tmp_path):
    inference = pack(make_request(artifacts, tmp_path / "bundle"))
    assert inference == tmp_path / "bundle" / "inference"
    files = contents(inference)
    assert {name for name in files if "/" not in name} == {
        ".dockerignore",
        "Dockerfile",
        "MANIFEST.in",
        "bentoml-init.sh",
        "bentoml.yml",
        "docker-entrypoint.sh",
        "docs.json",
        "requirements.txt",
        "setup.py",
        "start",
    }
    assert os.access(inference / "start", os.X_OK)
    package = "TfidfHSGDService"
    packed = {
        name.rpartition("/")[2]: content
        for name, content in files.items()
        if name.startswith(f"{package}/artifacts/")
    }
    assert json.loads(packed.pop("service.json")) == {
        "model": "tfidf_hsgd",
        "dataset": "toys",
        "display_name": "A model",
        "version": VERSION,
        "gpu": False,
        "monitoring": False,
    }
    assert packed == contents(artifacts)
    # Sources of what runs there, and of nothing else.
    sources = {name for name in files if name.endswith(".py") and name.count("/") > 1}
    assert f"{package}/ktt_models/tfidf_hsgd/bentoml/svc_lts.py" in sources
    assert f"{package}/ktt_serving/service.py" in sources
    assert f"{package}/ktt_core/tfidf/scorer.py" in sources
    assert f"{package}/ktt_serving/try_page/index.html" in files
    for name in files:
        assert not re.search(r"_test\.py|fixtures|packer|__pycache__|\.pyc|BUILD", name), name
    assert files[f"{package}/ktt_models/tfidf_hsgd/__init__.py"] == b""


def test_a_bundle_has_what_its_modules_import(artifacts, tmp_path):
    root = pack(make_request(artifacts, tmp_path / "bundle")) / "TfidfHSGDService"
    missing = {
        f"{file.relative_to(root)}: {node.module}"
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ktt_")
        for place in [root.joinpath(*str(node.module).split("."))]
        if not (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file())
    }
    assert not missing


def test_nothing_tells_where_it_was_packed(artifacts, tmp_path):
    pack(make_request(artifacts, tmp_path / "bundle"))
    for name, content in contents(tmp_path / "bundle").items():
        for path in (str(tmp_path), str(LIBS), sys.prefix, os.path.expanduser("~")):
            # A root's home is "/root", which others' words may hold.
            assert len(path) < 6 or path.encode() not in content, (name, path)


def test_what_is_packed_twice_is_the_same(artifacts, tmp_path):
    first, second = (tmp_path / name for name in ("one", "two"))
    for output in (first, second):
        pack(make_request(artifacts, output))
    assert contents(first) == contents(second)


def test_requirements_are_pinned_by_hash_and_the_smallest_that_serve(artifacts, tmp_path):
    text = (pack(make_request(artifacts, tmp_path / "a")) / "requirements.txt").read_text()
    names = re.findall(r"(?m)^([\w.-]+)==", text)
    assert "bentoml" in names and "pystemmer" in names
    assert not {"torch", "transformers", "scikit-learn", "onnxruntime", "tokenizers"} & set(names)
    assert text.count("--hash=sha256:") >= len(names)
    onnx = write_onnx_artifacts(tmp_path / "onnx")
    text = (pack(make_request(onnx, tmp_path / "b")) / "requirements.txt").read_text()
    assert "\nonnxruntime==" in text and "\ntokenizers==" in text
    text = (pack(make_request(onnx, tmp_path / "c", gpu=True)) / "requirements.txt").read_text()
    assert "\nonnxruntime-gpu==" in text


@pytest.mark.parametrize(
    "model",
    [path.parent.parent.name for path in (LIBS / "ktt_models").glob("*/bentoml/svc_lts.py")],
)
def test_every_model_is_packed_by_its_own_service(model, artifacts, tmp_path):
    module = f"ktt_models.{model}.bentoml.svc_lts"
    inference = pack(
        make_request(artifacts, tmp_path / "bundle", model=model, service_module=module)
    )
    text = (inference / "bentoml.yml").read_text()
    assert f"module_name: {module}" in text
    assert "name: predict\n" in text and "name: predict_proba\n" in text
    assert text.count("batch: true") == 2


def test_a_model_from_outside_packs_what_it_has(artifacts, tmp_path):
    root = tmp_path / "sources"
    folder = root / "acme" / "model" / "bentoml"
    folder.mkdir(parents=True)
    # What registers a model imports what trains it, which is not here.
    for package in (root / "acme", root / "acme" / "model"):
        (package / "__init__.py").write_text("import torch_that_is_not_here\n")
    (folder / "__init__.py").write_text("")
    (folder / "words.py").write_text('GREETING = "hello"\n')
    (folder / "needs.txt").write_text("bentoml==0.13.1 --hash=sha256:0\n")
    (folder / "svc_lts.py").write_text(
        "import bentoml\n"
        "from acme.model.bentoml.words import GREETING\n"
        "from ktt_serving.artifact import ModelFolder\n"
        "from ktt_serving.service import ClassifierService\n"
        "from ktt_serving.adapters import JsonAnswers, TextRequests\n"
        "@bentoml.artifacts([ModelFolder('model')])\n"
        "class AcmeService(ClassifierService):\n"
        "    requirements = 'needs.txt'\n"
        "    @bentoml.api(input=TextRequests(), output=JsonAnswers(), batch=True)\n"
        "    def predict(self, questions, tasks):\n"
        "        return ['\"' + GREETING + '\"' for _ in questions]\n"
    )
    for name in ("ktt_core", "ktt_serving"):
        (root / name).symlink_to(LIBS / name)
    request = make_request(
        artifacts,
        tmp_path / "bundle",
        model="acme",
        service_module="acme.model.bentoml.svc_lts",
        sources=root,
    )
    inference = pack(request)
    files = contents(inference)
    assert b"hello" in files["AcmeService/acme/model/bentoml/words.py"]
    assert files["AcmeService/acme/model/__init__.py"] == b""
    assert files["requirements.txt"].startswith(b"bentoml==0.13.1 --hash")


def test_monitoring_stands_beside_it(artifacts, tmp_path, monkeypatch):
    monitoring = tmp_path / "monitoring"
    monitoring.mkdir()
    (monitoring / "monitoring.py").write_text("")
    monkeypatch.setattr(layout, "_MONITORING", (monitoring,))
    config = MonitoringFiles.from_json(write_monitoring_inputs(tmp_path / "inputs"))
    inference = pack(make_request(artifacts, tmp_path / "bundle", monitoring=config))
    names = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert names >= {"README.md", "docker-compose.yaml", "grafana", "monitoring", "prometheus"}
    (identity,) = inference.glob("*/artifacts/model/service.json")
    assert json.loads(identity.read_text())["monitoring"] is True
    readme = (tmp_path / "bundle" / "README.md").read_text()
    # In a file, so that `docker-compose logs`, `ps` and `down` in another terminal have it too.
    assert 'echo "GF_SECURITY_ADMIN_PASSWORD=$(openssl rand -hex 16)" > .env' in readme
    assert "docker-compose up" in readme and "$" + "{" not in readme


def test_the_program_says_one_line(artifacts, tmp_path):
    file, output = tmp_path / "request.json", tmp_path / "bundle"
    write_request(make_request(artifacts, output), file)
    ended = run_packer(file)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"inference": str(output / "inference")}
    assert ended.stdout.count("\n") == 1
    # A second one does not write over the first.
    again = run_packer(file)
    assert again.returncode == 1 and "not empty" in json.loads(again.stdout)["error"]


def test_a_service_that_is_not_there_is_named_before_anything_is_written(artifacts, tmp_path):
    absent = "ktt_models.none.bentoml.svc_lts"
    with pytest.raises(InvalidArgumentError, match="does not exist"):
        pack(make_request(artifacts, tmp_path / "bundle", service_module=absent))
    assert not (tmp_path / "bundle").exists()


def test_the_program_explains_what_is_wrong_with_its_argument(tmp_path):
    damaged = tmp_path / "request.json"
    damaged.write_text("{")
    for arguments in ((damaged,), ("a", "b")):
        ended = run_packer(*arguments)
        assert ended.returncode == 1
        assert list(json.loads(ended.stdout)) == ["error"]
        assert "Traceback" not in ended.stderr
