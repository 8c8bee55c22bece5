"""What comes from outside is used, or refused with a message, whatever its bytes are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given

from fuzz.damage import (
    Change,
    Edit,
    Nested,
    changed,
    changes,
    edited,
    edits,
    fuzzed,
    json_bytes,
    survives,
)
from monitoring.conftest import CLASSES, Model, write_config
from monitoring.errors import RequestError, SettingsError, StateError
from monitoring.layout import LabelKind, Layout
from monitoring.reference import load_reference
from monitoring.rows import parse_feedback, parse_rows
from monitoring.settings import load_settings
from monitoring.state import State
from monitoring.store import Store

CONFIG = {"window_size": 5, "min_reference_size": 5}
MONITORS = ["data_drift", "prob_classification_performance"]
DEEP = (Change("replace", 1, Nested(100_000)),)
# Each holds the one before it nine times: what is merged or printed of the last fills a disk.
LISTS = ", ".join(["&l0 [a]", *(f"&l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))])
MERGED = ", ".join(
    [
        "&m0 {a: 1, b: 2}",
        *(f"&m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 30)),
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("monitor")


@pytest.fixture(scope="module")
def config(folder) -> Path:
    return write_config(folder, Model().reference(40), list(CLASSES), monitors=MONITORS, **CONFIG)


def read_config(folder: Path, content: bytes) -> None:
    path = folder / "damaged.yaml"
    path.write_bytes(content)
    settings = survives(lambda: load_settings(path), SettingsError, folder=folder)
    if settings is not None:
        survives(lambda: load_reference(settings), SettingsError, folder=folder)


@fuzzed(60)
@given(edits())
def test_the_bytes_of_the_settings(folder, config, damage):
    read_config(folder, edited(config.read_bytes(), damage))


@fuzzed(100)
@given(changes())
@example(DEEP)
@example((Change("replace", 9, 10**400),))
@example((Change("replace", 3, "\0"),))
@example((Change("replace", 3, "\ud800"),))
def test_the_values_of_the_settings(folder, config, damage):
    # JSON is YAML.
    read_config(folder, json_bytes(changed(yaml.safe_load(config.read_text()), damage)))


@pytest.mark.parametrize(
    "text",
    [
        "service: !!int ''",
        "service: !!bool x",
        "service: !!timestamp x",
        "service: !!float ''",
        "service: {reference_path: a, window_size: 0x" + "f" * 5000 + "}",
        "service: {reference_path: a, 0x" + "f" * 5000 + ": 1}",
        "service: {reference_path: a, calculation_period_sec: 1" + "0" * 400 + "}",
        f"labels: [{MERGED}]\nservice: {{<<: *m29}}",
        *(
            f"labels: [{LISTS}]\nservice: {{reference_path: a, {field}: {value}}}"
            for field in ("window_size", "use_reference", "monitors", "alarm_rate")
            for value in ("*l29", "[*l29]")
        ),
        f"labels: [{LISTS}]\nservice: {{reference_path: a}}\ntarget: *l29",
        f"service: {{reference_path: a}}\nprediction: [{LISTS}]",
    ],
)
def test_strange_yaml_is_refused(folder, text):
    path = folder / "damaged.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError):
        survives(lambda: load_settings(path), folder=folder, seconds=5)


@fuzzed(60)
@given(edits())
@example((Edit("flip", 0.08, length=7),))
def test_the_bytes_of_the_reference(folder, config, damage):
    settings = load_settings(config)
    whole = settings.reference_path.read_bytes()
    settings.reference_path.write_bytes(edited(whole, damage))
    try:
        survives(lambda: load_reference(settings), SettingsError, folder=folder)
    finally:
        settings.reference_path.write_bytes(whole)


def rows(n: int) -> dict:
    return {"data": Model().rows(n), "ids": [f"r{number}" for number in range(n)]}


@pytest.fixture(scope="module")
def state(folder, config) -> Path:
    """Return the file of a state that holds rows and labels of every kind."""
    settings = load_settings(config)
    reference = load_reference(settings)
    store = Store(folder / "state", reference.layout, reference.fingerprint)
    made = State(settings, reference, store)
    made.add(parse_rows(json.dumps(rows(8)).encode(), reference.layout))
    labels = [{"id": name, "label": "Shoes"} for name in ("r1", "r2", "later")]
    made.join(parse_feedback(json.dumps({"feedback": labels}).encode(), reference.layout))
    made.close()
    return folder / "state/state.sqlite"


def use(folder: Path, config: Path) -> None:
    settings = load_settings(config)
    reference = load_reference(settings)
    store = Store(folder, reference.layout, reference.fingerprint)
    try:
        state = State(settings, reference, store)
        state.add(parse_rows(json.dumps(rows(9)).encode(), reference.layout))
        state.snapshot()
    finally:
        store.close()


def use_damaged(folder: Path, config: Path, damage: Callable[[Path], object]) -> None:
    used = folder / "used"
    used.mkdir()
    try:
        damage(used / "state.sqlite")
        survives(lambda: use(used, config), StateError)
    finally:
        shutil.rmtree(used)


@fuzzed(40)
@given(edits())
def test_the_bytes_of_the_state(folder, config, state, damage):
    content = edited(state.read_bytes(), damage)
    use_damaged(folder, config, lambda path: path.write_bytes(content))


LAYOUT = Layout(
    columns=("targets", "0", "1", "Shirts", "Phones > Accessories", "Bikes > Accessories"),
    features=(0, 1),
    scores=(2, 3, 4),
    classes=("Shirts", "Phones > Accessories", "Bikes > Accessories"),
    label_kind=LabelKind.CLASS,
    keeps_scores=True,
)
ROWS = {"data": [[None, 0.5, -1, 0.1, 0.7, 0.2], ["Shirts", 1, 2, 0, 0, 1]], "ids": ["a", None]}
LABELS = {"feedback": [{"id": "a", "label": "Shirts"}, {"id": "b", "label": ["Bikes", "Shirts"]}]}


@pytest.mark.parametrize(("parse", "document"), [(parse_rows, ROWS), (parse_feedback, LABELS)])
@fuzzed(60)
@given(edits())
def test_the_bytes_of_a_request(parse, document, damage):
    body = edited(json.dumps(document).encode(), damage)
    survives(lambda: parse(body, LAYOUT), RequestError)


@pytest.mark.parametrize(("parse", "document"), [(parse_rows, ROWS), (parse_feedback, LABELS)])
@fuzzed(100)
@given(changes())
@example(DEEP)
def test_the_values_of_a_request(parse, document, damage):
    body = json_bytes(changed(document, damage))
    survives(lambda: parse(body, LAYOUT), RequestError)


def test_a_label_as_long_as_a_request_is_refused():
    for label in ("a\n" * 300_000, "Shirts\n" + "\n" * 300_000):
        body = json.dumps({"feedback": [{"id": "a", "label": label}]}).encode()
        with pytest.raises(RequestError):
            survives(lambda: parse_feedback(body, LAYOUT), seconds=5)  # noqa: B023
