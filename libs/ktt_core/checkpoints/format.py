"""Checkpoint files of arrays and JSON: fast to load, every damage seen, nothing that could run.

A file is in the *safetensors* layout (https://github.com/huggingface/safetensors, "Format"), so
other tools can look inside: eight bytes of header length, a JSON header with each array's type,
shape and place, the arrays' bytes. The header's ``__metadata__`` carries our own JSON and a SHA-256
over that JSON and all arrays. Arrays are mapped, not copied, and there is no pickle on any way in
or out. That library itself would copy every array that it reads for numpy, hence this module.

A model's parts ("network", "vectorizer", ...) are told apart by the beginnings of their arrays'
names.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.atomic import atomic_file
from ktt_core.decoding.scores import inverse_temperature
from ktt_core.documents import parse_object
from ktt_core.errors import CheckpointError, InvalidArgumentError, NotFoundError
from ktt_core.regular_files import open_regular

__all__ = [
    "FORMAT_VERSION",
    "arrays_of",
    "named_for",
    "read_arrays",
    "read_metadata",
    "stored_temperature",
    "write_arrays",
]

FORMAT_VERSION = 1

Array = NDArray[Any]
Arrays = dict[str, Array]
#: Shape, first byte, byte after the last (from where the arrays begin), type.
Place = tuple[list[int], int, int, np.dtype[Any]]

_FORMAT = "ktt-checkpoint"
# The limit of the safetensors library itself.
_MAX_HEADER_BYTES = 100_000_000
# The arrays begin at a multiple of this, and are sorted by item size, so that every one is aligned
# in the mapping.
_ALIGNMENT = 64
_DTYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
_DTYPE_NAMES = {text: name for name, text in _DTYPES.items()}


def write_arrays(path: Path, metadata: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write one checkpoint, whole or not at all.

    Parameters
    ----------
    path : Path
        The file; replaced if it exists.
    metadata : mapping
        JSON-able values without NaN. ``"model"`` must hold the model's id.
    arrays : mapping of str to ndarray
        Booleans, integers or floats of up to 64 bits, any shape.

    Raises
    ------
    TypeError
        If an array holds objects, or the metadata holds no model id.
    ValueError
        If the metadata holds NaN or infinity.
    CheckpointError
        If the metadata is too large.
    """
    if not isinstance(metadata.get("model"), str):
        raise TypeError("a checkpoint's metadata names its model")
    text = json.dumps(dict(metadata), allow_nan=False, separators=(",", ":"))
    stored = {name: _to_storable(name, array) for name, array in arrays.items()}
    order = sorted(stored, key=lambda name: (-stored[name].dtype.itemsize, name))
    header: dict[str, Any] = {
        "__metadata__": {
            "format": _FORMAT,
            "format_version": str(FORMAT_VERSION),
            "metadata": text,
            "sha256": _digest(str(FORMAT_VERSION), text, {name: stored[name] for name in order}),
        }
    }
    offset = 0
    for name in order:
        array = stored[name]
        end = offset + array.nbytes
        header[name] = {
            "dtype": _DTYPE_NAMES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % _ALIGNMENT)
    if len(encoded) > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path}: the metadata with the taxonomy takes {len(encoded):,} bytes, "
            f"more than the {_MAX_HEADER_BYTES:,} that a checkpoint holds"
        )
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for name in order:
            file.write(_bytes_of(stored[name]))


def read_arrays(path: Path, model_id: str) -> tuple[dict[str, Any], Arrays]:
    """Read and verify one checkpoint.

    Parameters
    ----------
    path : Path
    model_id : str
        The model it must belong to.

    Returns
    -------
    metadata : dict
    arrays : dict of str to ndarray
        Read-only views of the mapped file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    CheckpointError
        If it is damaged, no checkpoint, of another model or of a newer format.
    """
    view = _map(path)
    header, start = _read_header(path, view)
    described = _described(path, header)
    arrays = _arrays(path, view, header, start)
    digest = _digest(described["format_version"], described["metadata"], arrays)
    if digest != described.get("sha256"):
        raise _damaged(path, "its contents do not match their checksum")
    metadata = _parse_metadata(path, described)
    if metadata["model"] != model_id:
        raise CheckpointError(
            f"{path} is a checkpoint of the model {metadata['model']!r}, not of {model_id!r}"
        )
    return metadata, arrays


def read_metadata(path: Path) -> dict[str, Any]:
    """Read a checkpoint's metadata alone, quickly: of the arrays only their places are checked.

    So a file that was cut short is noticed, a flipped bit is not.

    Raises
    ------
    NotFoundError, CheckpointError
        As `read_arrays`.
    """
    view = _map(path)
    header, start = _read_header(path, view)
    metadata = _parse_metadata(path, _described(path, header))
    _places(path, view, header, start)
    return metadata


# -- writing ---------------------------------------------------------------------------------------


def _to_storable(name: str, array: Array) -> Array:
    if not name or name == "__metadata__":
        raise TypeError(f"{name!r} cannot name an array of a checkpoint")
    little = np.ascontiguousarray(array).reshape(np.shape(array))
    if little.dtype.byteorder == ">":
        little = little.astype(little.dtype.newbyteorder("<"))
    if little.dtype.str not in _DTYPE_NAMES:
        raise TypeError(f"the array {name!r} of type {array.dtype} cannot go into a checkpoint")
    return little


def _bytes_of(array: Array) -> memoryview:
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat) if array.size else memoryview(b"")


def _digest(version: str, metadata: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    places = [[name, _DTYPE_NAMES[a.dtype.str], list(a.shape)] for name, a in arrays.items()]
    # One JSON list in front says where each part ends, so that no two files share a digest.
    digest.update(json.dumps([_FORMAT, version, metadata, places]).encode())
    for array in arrays.values():
        digest.update(_bytes_of(array))
    return digest.hexdigest()


# -- reading: nothing in the file is believed before it is checked ---------------------------------


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {what}. Use another checkpoint, or train again")


def _map(path: Path) -> mmap.mmap:
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        raise NotFoundError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise _damaged(path, "it is empty") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _read_header(path: Path, view: mmap.mmap) -> tuple[dict[str, Any], int]:
    _refuse_executable(path, view[:16])
    length = int.from_bytes(view[:8], "little")
    if len(view) < 8 or not 2 <= length <= _MAX_HEADER_BYTES:
        raise CheckpointError(f"{path} is not a checkpoint of this program")
    if 8 + length > len(view):
        raise _damaged(path, f"of {length:,} bytes of header it holds {len(view) - 8:,}")
    header = parse_object(
        view[8 : 8 + length], lambda problem: _damaged(path, f"its header is {problem}")
    )
    return header, 8 + length


def _refuse_executable(path: Path, beginning: bytes) -> None:
    # Pickle's first opcode is PROTO (0x80); torch.save and joblib write a zip or a bare pickle.
    kinds = {b"PK": "zip archive", b"\x80": "pickle"}
    kind = kinds.get(beginning[:2]) or kinds.get(beginning[:1])
    # A checkpoint whose header's length begins with such a byte is a checkpoint all the same.
    if kind is not None and int.from_bytes(beginning[:8], "little") > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path} is a {kind}, which may hold code; only this program's checkpoints are loaded"
        )


def _described(path: Path, header: dict[str, Any]) -> dict[str, str]:
    described = header.get("__metadata__")
    if not isinstance(described, dict) or described.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of this program")
    if not all(isinstance(value, str) for value in described.values()):
        raise _damaged(path, "its metadata is not text")
    version = described.get("format_version", "")
    if not (version.isascii() and version.isdigit()):
        raise _damaged(path, "its format version is not a number")
    if int(version[:9]) > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version[:9]}, this program reads up to {FORMAT_VERSION}: "
            "it was written by a newer one; update, or train again"
        )
    if "metadata" not in described:
        raise _damaged(path, "it has no metadata")
    return described


def _parse_metadata(path: Path, described: dict[str, str]) -> dict[str, Any]:
    metadata = parse_object(
        described["metadata"], lambda problem: _damaged(path, f"its metadata is {problem}")
    )
    if not isinstance(metadata.get("model"), str):
        raise _damaged(path, "its metadata does not name a model")
    return metadata


def _arrays(path: Path, view: mmap.mmap, header: dict[str, Any], start: int) -> Arrays:
    arrays: Arrays = {}
    for name, (shape, begin, end, dtype) in _places(path, view, header, start).items():
        count = (end - begin) // dtype.itemsize
        flat = np.frombuffer(view, dtype, count, start + begin) if count else np.empty(0, dtype)
        try:
            arrays[name] = flat.reshape(shape)
        except ValueError as error:
            raise _damaged(path, f"the array {name!r} has an impossible shape ({error})") from None
    return arrays


def _places(path: Path, view: mmap.mmap, header: dict[str, Any], start: int) -> dict[str, Place]:
    """Return where the arrays are, which is one after the other up to the end of the file."""
    places: dict[str, Place] = {}
    expected = 0
    for name, place in header.items():
        if name == "__metadata__":
            continue
        places[name] = _place(path, name, place)
        _, begin, end, _ = places[name]
        if begin != expected:
            raise _damaged(path, f"the array {name!r} does not begin where the one before it ends")
        expected = end
        if start + end > len(view):
            raise _damaged(path, f"it ends inside the array {name!r}")
    if start + expected != len(view):
        raise _damaged(path, f"{len(view) - start - expected:,} bytes follow its last array")
    return places


def _place(path: Path, name: str, place: Any) -> Place:
    if not isinstance(place, dict) or str(place.get("dtype")) not in _DTYPES:
        raise _damaged(path, f"the array {name!r} is of no known type")
    shape: Any = place.get("shape")
    offsets: Any = place.get("data_offsets")
    if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
        raise _damaged(path, f"the array {name!r} has no valid shape and place")
    dtype = np.dtype(_DTYPES[str(place["dtype"])])
    if len(shape) > 32 or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise _damaged(path, f"the array {name!r} does not fill its place")
    return shape, offsets[0], offsets[1], dtype


def _are_sizes(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(
        type(number) is int and 0 <= number < 2**48 for number in numbers
    )


def named_for(part: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return a part's arrays under the names that a checkpoint has for them."""
    return {f"{part}.{name}": array for name, array in arrays.items()}


def arrays_of(part: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Undo `named_for`: return the arrays of one part of a checkpoint."""
    start = f"{part}."
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}


def stored_temperature(metadata: Mapping[str, Any]) -> float:
    """Return a checkpoint's temperature.

    Raises
    ------
    KeyError
        If it has none.
    CheckpointError
        If no answer can be given at that temperature.
    """
    found = metadata["temperature"]
    try:
        inverse_temperature(found)
    except InvalidArgumentError as error:
        raise CheckpointError(str(error)) from error
    return float(found)
