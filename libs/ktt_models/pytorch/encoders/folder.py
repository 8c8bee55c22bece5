"""Facts about an encoder's folder, read without loading weights or importing torch."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ktt_core.documents import parse_object
from ktt_core.errors import DataError, NotFoundError, UnsupportedError
from ktt_core.regular_files import open_regular, read_regular

__all__ = ["EncoderFacts", "read_config", "read_facts", "weight_files"]

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_MAX_JSON = 64 * 1024**2
_MAX_HEADER = 100 * 1024**2

# Names of the same setting in different architectures.
_WIDTHS = ("hidden_size", "dim", "d_model", "n_embd")
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")

# Architectures whose first position is the one after the padding id.
_SHIFTED_POSITIONS = frozenset(
    {
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
        "camembert",
        "mpnet",
        "longformer",
        "data2vec-text",
    }
)

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model.pt", "model.pt")


@dataclass(frozen=True)
class EncoderFacts:
    """Facts from the files of an encoder's folder.

    Attributes
    ----------
    architecture : str
        Its ``model_type``, as transformers names it.
    width : int
        Features per text.
    layers : int
        0 if the config does not say.
    parameters : int
        Numbers in the weight files, heads of other tasks included.
    vocabulary : int
        Number of embedded ids; 0 if the config does not say.
    max_length : int
        Maximum number of tokens of a text; 0 if the config does not say.
    """

    architecture: str
    width: int
    layers: int
    parameters: int
    vocabulary: int
    max_length: int


def read_facts(folder: Path) -> EncoderFacts:
    """Read an encoder's facts from its folder, and check that it can be loaded.

    Raises
    ------
    NotFoundError
        If its config, weights or tokenizer are missing.
    UnsupportedError
        If loading it would run code (pickled weights, custom code), or it is an encoder-decoder.
    DataError
        If a file is damaged.
    """
    config = read_config(folder)
    files = weight_files(folder)
    if not (folder / TOKENIZER_FILE).is_file():
        raise NotFoundError(
            f"the encoder in {folder} has no {TOKENIZER_FILE}: a fast tokenizer is needed. Save "
            "one there with AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER), or choose "
            "an encoder that has one"
        )
    return EncoderFacts(
        architecture=config["model_type"],
        width=_number(config, _WIDTHS),
        layers=_number(config, _LAYERS),
        parameters=sum(map(_parameters, files)),
        vocabulary=_number(config, ("vocab_size",)),
        max_length=longest_input(config),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read an encoder's ``config.json``; raises as `read_facts` does."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise NotFoundError(f"{folder} holds no encoder: there is no {CONFIG_FILE} in it")
    config = _read_json(path)
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise UnsupportedError(f"{path} names no model_type: it is not a transformers encoder")
    code = config.get("auto_map")
    if isinstance(code, dict) and any(key.startswith("AutoModel") for key in code):
        raise UnsupportedError(
            f"the encoder in {folder} needs code of its own from the hub ({path.name} has an "
            "auto_map), and such code is never run; choose one of an architecture that "
            "transformers has itself"
        )
    if config.get("is_encoder_decoder") is True:
        raise UnsupportedError(
            f"{folder} holds an encoder-decoder ({kind}); a BERT-like encoder is needed"
        )
    if _number(config, _WIDTHS) < 1:
        raise UnsupportedError(
            f"{path} does not say how wide its features are ({kind}): it is not a text encoder"
        )
    return config


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of an encoder, in name order; raises as `read_facts` does."""
    index = folder / INDEX_FILE
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if index.is_file():
        parts = _read_json(index).get("weight_map")
        names = set(map(str, parts.values())) if isinstance(parts, dict) else set()
        if not names or any(name != Path(name).name for name in names):
            raise DataError(f"{index} is damaged: it does not list the parts of the weights")
        files = [folder / name for name in sorted(names)]
        if missing := [file.name for file in files if not file.is_file()]:
            raise NotFoundError(f"the encoder in {folder} lacks weights: no {', '.join(missing)}")
        return files
    if pickles := [name for name in _PICKLES if (folder / name).is_file()]:
        raise UnsupportedError(
            f"the encoder in {folder} has its weights as a pickle only ({pickles[0]}), which can "
            "run any code when it is read; only safetensors are. Where you trust the file, convert "
            "it: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    raise NotFoundError(f"the encoder in {folder} has no weights: there is no {WEIGHTS_FILE} in it")


def longest_input(config: dict[str, Any]) -> int:
    """Return the maximum number of tokens of a text; 0 if the config does not say."""
    positions = _number(config, ("max_position_embeddings", "n_positions"))
    if positions and config.get("model_type") in _SHIFTED_POSITIONS:
        padding = config.get("pad_token_id")
        if config["model_type"] == "mpnet" or not isinstance(padding, int):
            # MPNet always uses this id, whatever its config says; for others it is the default.
            padding = 1
        positions -= padding + 1
    return max(positions, 0)


def _number(config: dict[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return 0


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise DataError(f"{path} is damaged: it is larger than {_MAX_JSON // 1024**2} MiB")
        content = read_regular(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_object(content, lambda problem: DataError(f"{path} is damaged: it is {problem}"))


def _parameters(path: Path) -> int:
    """Count the numbers in a safetensors file by its header."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - 8):
                raise DataError(f"{path} is damaged: it is not a safetensors file, or is cut off")
            header = parse_object(file.read(length), partial(_damaged_header, path))
            entries = [entry for name, entry in header.items() if name != "__metadata__"]
            ends = [entry["data_offsets"][1] for entry in entries]
            if 8 + length + max(ends, default=0) != path.stat().st_size:
                raise DataError(f"{path} is damaged: it is cut off, or has more than it lists")
            shapes = [entry["shape"] for entry in entries]
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not all(isinstance(shape, list) and all(map(_is_size, shape)) for shape in shapes):
        raise _damaged_header(path, "without the shapes of its weights")
    return sum(map(math.prod, shapes))


def _is_size(number: Any) -> bool:
    return type(number) is int and number >= 0


def _damaged_header(path: Path, problem: str) -> DataError:
    return DataError(f"{path} is damaged: its header is {problem}")
