"""Checkpoint files give back what was written, or say what is wrong; nothing in them runs."""

from __future__ import annotations

import importlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktt_core.checkpoints.format import (
    FORMAT_VERSION,
    arrays_of,
    named_for,
    read_arrays,
    read_metadata,
    stored_temperature,
    write_arrays,
)
from ktt_core.errors import CheckpointError, NotFoundError

METADATA = {"model": "some_model", "temperature": 1.25, "names": ["é", "\U0001f600", "a\nb"]}
ARRAYS: dict[str, Any] = {
    "weights": np.arange(12, dtype=np.float32).reshape(3, 4),
    "codes": np.array([-1, 2**40], dtype=np.int64),
    "flags": np.array([True, False, True]),
    "nothing": np.empty((0, 7), dtype=np.int32),
    "scalar": np.array(3.5),
    "bytes": np.frombuffer(b"abc", dtype=np.uint8),
}


def make(path: Path) -> Path:
    write_arrays(path, METADATA, ARRAYS)
    return path


def assert_equal(arrays: dict[str, Any], expected: dict[str, Any]) -> None:
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    metadata, arrays = read_arrays(make(tmp_path / "best.safetensors"), "some_model")
    assert metadata == METADATA
    assert_equal(arrays, ARRAYS)
    assert read_metadata(tmp_path / "best.safetensors") == METADATA


def test_arrays_are_aligned_and_read_only(tmp_path: Path) -> None:
    _, arrays = read_arrays(make(tmp_path / "best.safetensors"), "some_model")
    for array in arrays.values():
        assert array.flags.aligned
    with pytest.raises(ValueError, match="read-only"):
        arrays["weights"][0, 0] = 1


def test_other_byte_orders_and_strides_are_stored_as_their_values(tmp_path: Path) -> None:
    big = np.arange(5, dtype=">f8")
    turned = np.arange(12, dtype=np.int16).reshape(3, 4).T
    write_arrays(tmp_path / "c.safetensors", METADATA, {"big": big, "turned": turned})
    _, arrays = read_arrays(tmp_path / "c.safetensors", "some_model")
    np.testing.assert_array_equal(arrays["big"], big)
    np.testing.assert_array_equal(arrays["turned"], turned)


def test_the_layout_is_that_of_the_safetensors_library(tmp_path: Path) -> None:
    assert_equal(load_file(make(tmp_path / "best.safetensors")), ARRAYS)


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([object()]), np.array([1j])])
def test_only_plain_numbers_can_be_stored(tmp_path: Path, array: Any) -> None:
    with pytest.raises(TypeError, match="cannot go into a checkpoint"):
        write_arrays(tmp_path / "c.safetensors", METADATA, {"array": array})
    assert list(tmp_path.iterdir()) == []


def test_nan_in_the_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_arrays(tmp_path / "c.safetensors", {**METADATA, "loss": float("nan")}, {})


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no checkpoint"):
        read_arrays(tmp_path / "best.safetensors", "some_model")


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_arrays(tmp_path, "some_model")


def test_a_file_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    whole = make(tmp_path / "best.safetensors").read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in [*range(0, len(whole), 13), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            read_arrays(cut, "some_model")
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            read_metadata(cut)
    cut.write_bytes(whole + b"more")
    with pytest.raises(CheckpointError, match="bytes follow its last array"):
        read_arrays(cut, "some_model")
    with pytest.raises(CheckpointError, match="bytes follow its last array"):
        read_metadata(cut)


def test_a_flipped_bit_is_seen_wherever_it_is(tmp_path: Path) -> None:
    whole = make(tmp_path / "best.safetensors").read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    padding = range(len(whole[:header].rstrip(b" ")), header)
    flipped = tmp_path / "flipped.safetensors"
    for position in range(0, len(whole)):
        if position in padding:
            continue  # spaces after the JSON: they carry nothing
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        flipped.write_bytes(bytes(damaged))
        with pytest.raises(CheckpointError):
            read_arrays(flipped, "some_model")


def test_a_checkpoint_of_another_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="of the model 'some_model', not of 'other'"):
        read_arrays(make(tmp_path / "best.safetensors"), "other")


def test_a_newer_format_says_that_it_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktt_core.checkpoints.format.FORMAT_VERSION", FORMAT_VERSION + 1)
    path = make(tmp_path / "best.safetensors")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="written by a newer one"):
        read_arrays(path, "some_model")
    with pytest.raises(CheckpointError, match="written by a newer one"):
        read_metadata(path)


class Bomb:
    """Touches a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    hit = tmp_path / "hit"
    bomb = tmp_path / "best.safetensors"
    bomb.write_bytes(pickle.dumps(Bomb(hit), protocol=protocol))
    with pytest.raises(
        CheckpointError, match="pickle, which may hold code" if protocol > 1 else "not a checkpoint"
    ):
        read_arrays(bomb, "some_model")
    assert not hit.exists()
    pickle.loads(bomb.read_bytes())
    assert hit.exists(), "the bomb of this test is a dud"


def test_a_zip_with_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    hit = tmp_path / "hit"
    bomb = tmp_path / "best.safetensors"
    with zipfile.ZipFile(bomb, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(hit)))
    with pytest.raises(CheckpointError, match="zip archive, which may hold code"):
        read_arrays(bomb, "some_model")
    assert not hit.exists()


def test_a_foreign_safetensors_file_is_no_checkpoint(tmp_path: Path) -> None:
    header = json.dumps({"x": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(CheckpointError, match="not a checkpoint of this program"):
        read_arrays(path, "some_model")


@pytest.mark.parametrize(
    "place",
    [
        {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**47, 2**47], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**60]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]},
        {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1] * 40, "data_offsets": [0, 4]},
        ["F32", [1], [0, 4]],
    ],
)
def test_a_hostile_header_is_damaged(tmp_path: Path, place: Any) -> None:
    described = {
        "format": "ktt-checkpoint",
        "format_version": "1",
        "metadata": '{"model":"m"}',
        "sha256": "",
    }
    header = json.dumps({"__metadata__": described, "x": place}).encode()
    path = tmp_path / "best.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match="is damaged"):
        read_arrays(path, "m")


def test_deeply_nested_json_is_damaged(tmp_path: Path) -> None:
    header = b"[" * 200_000
    path = tmp_path / "best.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="not JSON"):
        read_arrays(path, "m")


def test_each_part_gets_its_own_arrays_back() -> None:
    first, second = {"a.b": np.zeros(1)}, {"b": np.ones(2)}
    whole = named_for("net", first) | named_for("network", second)
    assert arrays_of("net", whole).keys() == first.keys()
    assert arrays_of("network", whole).keys() == second.keys()


def test_a_temperature_is_a_finite_number_above_zero() -> None:
    assert stored_temperature({"temperature": 2}) == 2.0
    assert stored_temperature({"temperature": 0.5}) == 0.5
    for wrong in (True, "1", None, [1.0], 0, -1.0, float("nan"), float("inf"), 10**400):
        with pytest.raises(CheckpointError, match="a temperature is a number from 1e-06 to"):
            stored_temperature({"temperature": wrong})


@pytest.mark.parametrize(
    ("old", "name"), [("checkpoint", "read_arrays"), ("checkpoint_record", "RunRecord")]
)
def test_models_from_outside_still_import_the_old_names(old: str, name: str) -> None:
    new = {"checkpoint": "format", "checkpoint_record": "record"}[old]
    with pytest.warns(DeprecationWarning, match=f"ktt_core.checkpoints.{new}"):
        module = importlib.reload(importlib.import_module(f"ktt_core.{old}"))
    found = importlib.import_module(f"ktt_core.checkpoints.{new}")
    assert getattr(module, name) is getattr(found, name)
    assert set(found.__all__) <= set(vars(module))
