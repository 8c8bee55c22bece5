"""The window, labels and the moving reference, across restarts and failures."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from monitoring.conftest import CLASSES, Model, write_config
from monitoring.errors import StateError
from monitoring.reference import load_reference
from monitoring.rows import parse_feedback, parse_rows
from monitoring.settings import load_settings
from monitoring.state import Joined, State
from monitoring.store import Store

PROBABILITIES = ["data_drift", "prob_classification_performance"]


class Kept:
    """A state in a folder that can be reopened."""

    def __init__(self, folder, table=None, **service):
        self.model = Model(seed=1)
        self.folder = folder
        self.now = 100.0
        self.configure(table or Model().reference(40), **service)

    def configure(self, table, prediction=CLASSES, **service):
        service = {"window_size": 5, "min_reference_size": 5, **service}
        path = write_config(self.folder, table, list(prediction), **service)
        self.settings = load_settings(path)
        self.reference = load_reference(self.settings)
        self.open()

    def open(self):
        layout = self.reference.layout
        self.store = Store(self.folder / "state", layout, self.reference.fingerprint)
        self.state = State(self.settings, self.reference, self.store, lambda: self.now)

    def reopen(self):
        self.state.close()
        self.open()

    def add(self, rows, ids=None):
        document = {"data": rows} | ({} if ids is None else {"ids": ids})
        return self.state.add(parse_rows(json.dumps(document).encode(), self.reference.layout))

    def label(self, **labels):
        items = [{"id": row_id, "label": label} for row_id, label in labels.items()]
        document = json.dumps({"feedback": items}).encode()
        return self.state.join(parse_feedback(document, self.reference.layout))

    def first_features(self):
        return self.state.snapshot().window["drift"][:, 0].tolist()


def numbered(*numbers):
    """Rows with different first features."""
    return [[None, number, 0, 0, 0.7, 0.1, 0.1, 0.1] for number in numbers]


def assert_same(found, expected):
    # Compared as bytes, since NaN equals nothing.
    assert found.tobytes() == expected.tobytes()


@pytest.fixture()
def kept(tmp_path):
    made = Kept(tmp_path)
    yield made
    made.state.close()


@pytest.fixture()
def empty(tmp_path):
    made = Kept(tmp_path, use_reference=False)
    yield made
    made.state.close()


def test_the_window_starts_with_the_references_last_rows(kept):
    snapshot = kept.state.snapshot()
    assert_same(snapshot.window, kept.reference.rows[-5:])
    assert_same(snapshot.reference, kept.reference.rows)


def test_the_window_may_start_empty(empty):
    assert empty.first_features() == []
    empty.add(numbered(1, 2))
    assert empty.first_features() == [1, 2]


def test_nothing_is_due_before_enough_rows_are_collected(empty):
    empty.add(numbered(1, 2, 3, 4))
    assert not empty.state.is_due
    empty.add(numbered(5))
    assert empty.state.is_due


def test_min_reference_size_counts_rows_that_have_left_the_window(tmp_path):
    kept = Kept(tmp_path, use_reference=False, min_reference_size=12)
    for number in range(11):
        kept.add(numbered(number))
        assert not kept.state.is_due
        if number == 8:
            kept.reopen()
    kept.add(numbered(11))
    assert kept.state.is_due


def test_a_computation_is_due_only_when_something_is_new(kept):
    assert kept.state.is_due
    kept.state.snapshot()
    kept.state.computed(True)
    assert not kept.state.is_due
    kept.add(numbered(1), ["a"])
    assert kept.state.is_due
    kept.state.snapshot()
    kept.state.computed(True)
    kept.label(a="Shoes")
    assert kept.state.is_due


def test_a_failed_computation_is_due_again(kept):
    kept.state.snapshot()
    kept.state.computed(False)
    assert kept.state.is_due


def test_lag_is_the_age_of_the_oldest_row_that_no_computation_has_seen(kept):
    assert kept.state.lag_seconds == 0
    kept.add(numbered(1))
    kept.now += 10
    kept.add(numbered(2))
    assert kept.state.lag_seconds == 10
    kept.state.snapshot()
    kept.now += 5
    assert kept.state.lag_seconds == 15
    kept.add(numbered(3))
    kept.state.computed(False)
    assert kept.state.lag_seconds == 15
    kept.state.snapshot()
    kept.state.computed(True)
    assert kept.state.lag_seconds == 0


def test_everything_survives_a_restart(tmp_path):
    kept = Kept(tmp_path, moving_reference=True, monitors=PROBABILITIES)
    kept.add(numbered(1, 2, 3), ["a", "b", "c"])
    kept.label(b="Shoes", later="Shirts")
    kept.add(numbered(4, 5, 6, 7))
    before = kept.state.snapshot()
    kept.reopen()
    after = kept.state.snapshot()
    for name in ("window", "labelled", "reference"):
        assert_same(getattr(before, name), getattr(after, name))
    assert kept.label(a="Shoes").joined == 1
    assert kept.add(numbered(8), ["later"]).joined == 1


def test_a_smaller_window_keeps_the_newest_rows(kept):
    kept.add(numbered(1, 2, 3, 4, 5))
    kept.state.close()
    kept.configure(Model().reference(40), window_size=3)
    assert kept.first_features() == [3, 4, 5]


def test_the_state_of_another_reference_is_set_aside(kept, caplog):
    kept.add(numbered(1, 2, 3, 4, 5))
    kept.state.close()
    kept.configure(Model(seed=9).reference(40))
    assert "another reference" in caplog.text
    assert_same(kept.state.snapshot().window, kept.reference.rows[-5:])


def test_a_damaged_state_is_set_aside(kept, caplog):
    kept.state.close()
    for path in (kept.folder / "state").glob("state.sqlite*"):
        path.write_bytes(b"no database" * 1000)
    kept.open()
    assert "is damaged and was set aside" in caplog.text
    assert kept.add(numbered(1)).rows == 1


def _overwrite_page(path):
    with path.open("r+b") as file:
        # The third: that of a table.
        file.seek(2 * 4096)
        file.write(b"\xa5" * 4096)


def _changing(statement):
    def change(path):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            assert connection.execute(statement).rowcount

    return change


def _set_all_bits(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (size,) = connection.execute("SELECT length(row) FROM labelled").fetchone()
        connection.execute("UPDATE labelled SET row = ?", (b"\xff" * size,))


@pytest.mark.parametrize(
    "damage",
    [
        _overwrite_page,
        _changing("UPDATE rows SET row = substr(row, 2)"),
        _changing("UPDATE labelled SET row = zeroblob(3)"),
        _changing("UPDATE pending SET row = 'text'"),
        _changing("UPDATE rows SET row = CAST(replace(hex(row), '0', 'F') AS BLOB)"),
        # All bits set: not-a-numbers, and a boolean of 255.
        _set_all_bits,
        _changing("UPDATE meta SET value = 'many' WHERE name = 'collected'"),
        _changing("UPDATE meta SET value = '-1' WHERE name = 'collected'"),
        _changing("UPDATE meta SET value = x'ff' WHERE name = 'collected'"),
        _changing("UPDATE early SET label = 4e9"),
        _changing("UPDATE early SET label = 'Shirts'"),
        _changing("UPDATE early SET label = 0.5"),
    ],
)
def test_a_state_with_one_damaged_value_is_set_aside(tmp_path, caplog, damage):
    kept = Kept(tmp_path, monitors=["prob_classification_performance"])
    kept.add(numbered(1, 2, 3), ["a", "b", "c"])
    kept.label(a="Shoes", unknown="Shirts")
    kept.state.close()
    damage(tmp_path / "state" / "state.sqlite")
    kept.open()
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    assert "damaged and was set aside as state.unreadable.sqlite" in caplog.text
    assert (tmp_path / "state" / "state.unreadable.sqlite").exists()
    assert kept.add(numbered(1)).rows == 1
    kept.reopen()
    assert kept.first_features()[-1] == 1


def test_labels_of_unknown_rows_are_kept_up_to_the_limit_in_little_time(tmp_path):
    kept = Kept(tmp_path, feedback_size=100)
    kept.add(numbered(1), ["a"])
    statements: list[str] = []
    kept.store._connection.set_trace_callback(statements.append)
    labels = {f"unknown-{n}": "Shirts" for n in range(20_000)}
    assert kept.label(**labels, a="Shoes") == Joined(joined=1, unknown=20_000)
    assert kept.store.sizes()["early"] == 100
    # Of those that are not kept nothing is written, and each lookup is one for all.
    assert len(statements) < 150
    assert kept.add(numbered(2), ["unknown-19999"]).joined == 1


def test_only_one_monitor_can_use_a_folder(kept):
    with pytest.raises(StateError, match="another monitor uses"):
        Store(kept.folder / "state", kept.reference.layout, kept.reference.fingerprint)


def test_an_unusable_folder_is_refused(kept, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be used"):
        Store(tmp_path / "file" / "state", kept.reference.layout, "")


class Full:
    """A connection whose disk is full from a given statement on."""

    def __init__(self, connection, at):
        self.connection, self.left = connection, at

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def _tick(self):
        self.left -= 1
        if self.left < 0:
            raise sqlite3.OperationalError("database or disk is full")

    def execute(self, statement, *values):
        if statement not in ("BEGIN IMMEDIATE", "ROLLBACK"):
            self._tick()
        return self.connection.execute(statement, *values)

    def executemany(self, *values):
        self._tick()
        return self.connection.executemany(*values)


@pytest.mark.parametrize("at", range(8))
def test_a_failed_write_changes_nothing(tmp_path, monkeypatch, at):
    kept = Kept(tmp_path, moving_reference=True)
    kept.add(numbered(1, 2, 3, 4, 5))
    before = kept.state.snapshot()
    connection = kept.store._connection
    monkeypatch.setattr(kept.store, "_connection", Full(connection, at))
    with pytest.raises(StateError, match="disk is full"):
        kept.add(numbered(6, 7, 8), ["a", "b", "c"])
    monkeypatch.undo()
    after = kept.state.snapshot()
    for name in ("window", "labelled", "reference"):
        assert_same(getattr(before, name), getattr(after, name))
    assert kept.store.sizes()["pending"] == 0
    kept.add(numbered(6, 7, 8))
    assert kept.first_features() == [4, 5, 6, 7, 8]


def test_rows_that_leave_the_window_replace_the_oldest_of_a_moving_reference(tmp_path):
    kept = Kept(tmp_path, moving_reference=True)
    original = kept.reference.rows["drift"][:, 0].tolist()
    kept.add(numbered(*range(5)))
    # The rows that left came from the reference and are in it already.
    assert kept.state.snapshot().reference["drift"][:, 0].tolist() == original
    kept.add(numbered(*range(5, 8)))
    assert kept.state.snapshot().reference["drift"][:, 0].tolist() == [*original[3:], 0, 1, 2]
    kept.add(numbered(*range(8, 8 + 60)))
    assert kept.state.snapshot().reference["drift"][:, 0].tolist() == [*range(63 - 40, 63)]
    assert kept.store.sizes()["moved"] == 40


def test_a_reference_that_does_not_move_stays(kept):
    kept.add(numbered(*range(20)))
    assert_same(kept.state.snapshot().reference, kept.reference.rows)


def test_repeated_rows_are_ignored(empty):
    assert empty.add(numbered(1, 2), ["a", "b"]).rows == 2
    again = empty.add(numbered(1, 2, 3), ["a", "b", "c"])
    assert (again.rows, again.repeated) == (1, 2)
    assert empty.first_features() == [1, 2, 3]
    empty.label(a="Shoes")
    assert empty.add(numbered(1), ["a"]).repeated == 1
    assert empty.add(numbered(9, 9), ["z", "z"]).repeated == 1


def test_a_reused_id_with_other_content_is_a_new_row(empty):
    empty.add(numbered(1), ["a"])
    assert empty.add(numbered(2), ["a"]).rows == 1
    empty.label(a="Shoes")
    assert empty.state.snapshot().labelled["drift"][:, 0].tolist() == [2]


def test_labels_join_their_rows_by_id(tmp_path):
    kept = Kept(tmp_path, monitors=PROBABILITIES)
    kept.add(numbered(1, 2), ["a", "b"])
    joined = kept.label(b="Shoes", c="Shirts")
    assert (joined.joined, joined.unknown) == (1, 1)
    labelled = kept.state.snapshot().labelled
    assert labelled["drift"][:, 0].tolist() == [2]
    assert kept.reference.layout.names(labelled["label"]) == ["Shoes"]
    assert labelled["loss"][0] == pytest.approx(-np.log(0.1))
    np.testing.assert_allclose(labelled["scores"], [[0.7, 0.1, 0.1, 0.1]])


def test_a_label_may_come_before_its_row(empty):
    empty.label(a="Shoes")
    assert empty.add(numbered(1, 2), ["a", "b"]).joined == 1
    assert empty.state.snapshot().labelled["drift"][:, 0].tolist() == [1]
    assert empty.store.sizes()["early"] == 0


def test_a_label_may_be_corrected(empty):
    empty.add(numbered(1), ["a"])
    empty.label(a="Shoes")
    assert empty.label(a="Shirts").joined == 1
    labelled = empty.state.snapshot().labelled
    assert empty.reference.layout.names(labelled["label"]) == ["Shirts"]


def test_rows_with_a_label_need_no_id(empty):
    row = numbered(1)[0]
    empty.add([["Shoes", *row[1:]]])
    assert len(empty.state.snapshot().labelled) == 1


@hypothesis_settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from("rl"), st.integers(0, 30)), max_size=60))
def test_everything_kept_is_bounded(tmp_path_factory, steps):
    kept = Kept(tmp_path_factory.mktemp("state"), moving_reference=True, feedback_size=7)
    for kind, number in steps:
        if kind == "r":
            kept.add(numbered(number, number + 1), [f"r{number}", f"r{number + 1}"])
        else:
            kept.label(**{f"r{number}": "Shoes"})
    sizes = kept.store.sizes()
    kept.state.close()
    assert sizes["rows"] <= 5
    assert sizes["labelled"] <= 5
    assert sizes["pending"] <= 7
    assert sizes["early"] <= 7
    assert sizes["moved"] <= 40
