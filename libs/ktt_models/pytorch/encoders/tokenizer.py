"""The tokenizer of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktt_core.errors import CheckpointError, DataError, InvalidArgumentError
from ktt_core.preprocessors import BasePreprocessor, TransformerPreprocessor
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders.discovery import find_encoder
from ktt_models.pytorch.encoders.folder import longest_input, read_config

__all__ = ["check_stored", "encoder_preprocessor", "with_tokenizer"]


def encoder_preprocessor(folder: Path, max_len: int) -> TransformerPreprocessor:
    """Return an encoder's tokenizer, after a check that both match. Imports no torch.

    Parameters
    ----------
    folder : Path
        As `find_encoder` returns it.
    max_len : int
        Tokens per text, special ones included.

    Raises
    ------
    NotFoundError
        If there is no tokenizer.
    InvalidArgumentError
        If `max_len` is more than the encoder supports, or leaves no room for a text.
    DataError
        If the tokenizer has ids that the encoder has no embedding for.
    """
    folder = Path(folder)
    config = read_config(folder)
    longest = longest_input(config)
    if longest and max_len > longest:
        raise InvalidArgumentError(
            f"max_len = {max_len} is more than the {longest} tokens that the encoder in {folder} "
            f"was made for: set max_len to {longest} or less",
            field="max_len",
        )
    preprocessor = TransformerPreprocessor(folder, max_len)
    _check_ids(preprocessor, folder, config)
    return preprocessor


def with_tokenizer(
    preprocessor: BasePreprocessor, config: EncoderConfig
) -> TransformerPreprocessor:
    """Return a preprocessor to token ids: one that changes texts is put before the tokenizer.

    Raises
    ------
    NotFoundError
        If the encoder cannot be found.
    KttError
        As `encoder_preprocessor`.
    """
    if isinstance(preprocessor, TransformerPreprocessor):
        return preprocessor
    folder = find_encoder(config.encoder, config.download)
    return encoder_preprocessor(folder, config.max_len).after(preprocessor)


def check_stored(preprocessor: TransformerPreprocessor, config: Mapping[str, Any]) -> None:
    """Check that a checkpoint's tokenizer makes no ids and no texts that its encoder cannot read.

    Raises
    ------
    CheckpointError
        If it does.
    """
    if type(preprocessor) is not TransformerPreprocessor:
        return  # one of a model's own, which may make other ids
    rows, longest = config.get("vocab_size"), longest_input(dict(config))
    # Ids of special tokens need not be in the vocabulary.
    special, _ = preprocessor.token_ids([""])
    highest = max(preprocessor.highest_id, preprocessor.pad_id, *special.tolist())
    if type(rows) is int and highest >= rows:
        raise CheckpointError(
            f"its tokenizer has ids up to {highest:,}, and its encoder embeds {rows:,}"
        )
    if longest and preprocessor.max_length > longest:
        raise CheckpointError(
            f"its tokenizer makes {preprocessor.max_length:,} tokens of a text, and its encoder "
            f"takes {longest:,}"
        )


def _check_ids(
    preprocessor: TransformerPreprocessor, folder: Path, config: Mapping[str, Any]
) -> None:
    rows = config.get("vocab_size")
    if type(rows) is int and preprocessor.highest_id >= rows:
        raise DataError(
            f"the tokenizer in {folder} is not this encoder's: it has ids up to "
            f"{preprocessor.highest_id:,}, and the encoder embeds {rows:,} (vocab_size in its "
            "config.json); put the two of one encoder into one folder"
        )
