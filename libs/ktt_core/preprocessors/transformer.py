"""Token ids for encoder models, with the tokenizers library only."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, InvalidArgumentError, NotFoundError, UnsupportedError
from ktt_core.preprocessors.base import (
    BasePreprocessor,
    check_made,
    check_texts,
    preprocessor_from_json,
)
from ktt_core.preprocessors.padding import pad_rows

if TYPE_CHECKING:
    import tokenizers

__all__ = ["TOKENIZER_FILE", "TransformerPreprocessor"]

TOKENIZER_FILE = "tokenizer.json"

# Characters per token that are first read of a long text: words are mostly shorter.
_CHARACTERS_A_TOKEN = 16

# Common names of the padding token, for tokenizers that do not declare one.
_PADDING_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|endoftext|>")


class TransformerPreprocessor(BasePreprocessor):
    """Convert texts to token ids and the attention mask of an encoder.

    Parameters
    ----------
    tokenizer : path
        A ``tokenizer.json`` (the format of Hugging Face's fast tokenizers), or a folder with one.
    max_length : int
        Tokens per text, including special tokens; longer texts are truncated.

    Attributes
    ----------
    pad_id : int
        Value of `input_ids` where the mask is 0.
    before : BasePreprocessor or None
        Preprocessor applied before tokenization; see `after`.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidArgumentError
        If the file is not a tokenizer, or `max_length` leaves no room for text.

    Notes
    -----
    The state (`to_json`) has the whole tokenizer, so that a checkpoint needs no other file.

    A subclass that changes the ids overrides `counted_ids`, which training and serving call;
    `__call__` and `token_ids` use it too.
    """

    kind: ClassVar[str] = "transformer"
    before: BasePreprocessor | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        unread = [name for name in ("__call__", "token_ids") if name in cls.__dict__]
        if unread:
            raise UnsupportedError(
                f"{cls.__name__} overrides {unread[0]}, which an encoder's training does not "
                "call: override counted_ids; or let the model's get_preprocessor return a "
                "BasePreprocessor that changes texts, which is put before the encoder's tokenizer"
            )

    def __init__(self, tokenizer: str | Path, max_length: int = 64) -> None:
        file = Path(tokenizer)
        if file.is_dir():
            file = file / TOKENIZER_FILE
        if not file.is_file():
            raise NotFoundError(
                f"there is no {file}: a fast tokenizer is needed. Save one there with "
                "AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER), or choose an "
                "encoder that has one"
            )
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgumentError(f"{file} cannot be read as a tokenizer: {error}") from error
        self._set_up(text, max_length, str(file), _declared_padding(file.parent))

    def _set_up(self, text: str, max_length: int, where: str, padding: str | None) -> None:
        # Imported here: a bundle of a tf-idf model has no tokenizers.
        import tokenizers

        try:
            loaded = tokenizers.Tokenizer.from_str(text)
        except BaseException as error:
            if not _is_of_tokenizers(error):
                raise
            raise InvalidArgumentError(f"{where} is not a tokenizer: {error}") from error
        self._special = loaded.num_special_tokens_to_add(False)
        least = self._special + 1
        if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < least:
            raise InvalidArgumentError(
                f"max_length = {max_length!r:.80} leaves no room for a text: this tokenizer needs "
                f"a whole number of at least {least}"
            )
        self.max_length = max_length
        self.pad_id = _pad_id(loaded, padding)
        self._padding = padding
        self._text = text
        direction = (loaded.truncation or {}).get("direction", "right")
        loaded.enable_truncation(max_length, direction=direction)
        # Padding is applied by `pad_rows`.
        loaded.no_padding()
        try:
            # Special tokens that are used and not defined show at the first text. Not before it is
            # without padding: a damaged one takes all memory, which ends the process.
            _encodings(loaded.encode_batch, [""])
        except CheckpointError as error:
            raise InvalidArgumentError(f"{where} is not a tokenizer: {error}") from error
        self._tokenizer = loaded
        # Skips offsets, which are not needed; older versions always compute them.
        self._encode = getattr(loaded, "encode_batch_fast", loaded.encode_batch)
        self._cuts_the_end = direction == "right"

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        """Convert a batch of texts to padded ids.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        dict
            ``input_ids`` and ``attention_mask``, ndarray of int64, shape (n, length of the longest
            text of the batch, at least 1).

        Raises
        ------
        InvalidArgumentError
            If an entry is not text.
        """
        values, lengths = self.token_ids(texts)
        return dict(pad_rows(values, np.cumsum(lengths) - lengths, lengths, self.pad_id))

    def token_ids(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Convert a batch of texts to ids without padding: `counted_ids` without `cut`."""
        return self.counted_ids(texts)[:2]

    def counted_ids(
        self, texts: Sequence[str]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """Convert a batch of texts to ids without padding, and count the ids cut off.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        values : ndarray of int32
            The concatenated ids of all texts.
        lengths : ndarray of int64, shape (n,)
            Number of ids of each text.
        cut : ndarray of int64, shape (n,)
            Number of ids of each text that were cut off. For a very long text, of which only the
            beginning is tokenized, an estimate; 0 if and only if the text was not truncated.

        Raises
        ------
        InvalidArgumentError
            If an entry is not text.
        CheckpointError
            If the tokenizer is damaged, for example without the token for unknown words.
        """
        if self.before is not None:
            made = self.before(texts)["text"]
            check_made(self.before, texts, made)
            texts = made
        batch = [_encodable(text) for text in check_texts(texts)]
        beginnings = [self._beginnings(text) for text in batch]
        read = [next(of_text) for of_text in beginnings]
        encodings = _encodings(self._encode, read)
        cut = np.zeros(len(batch), dtype=np.int64)
        for place, text in enumerate(batch):
            # Read more of long texts whose beginning does not decide all ids.
            while not self._is_enough(encodings[place], read[place], text):
                read[place] = next(beginnings[place])
                is_whole = _ends_with_a_word(read[place], text)
                # The faster way does not tell of words.
                encode = self._encode if is_whole else self._tokenizer.encode_batch
                (encodings[place],) = _encodings(encode, [read[place]])
            if len(encodings[place]) >= self.max_length:
                cut[place] = self._count_cut(encodings[place], read[place], text)
        rows = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        values = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return values, lengths, cut

    def after(self, before: BasePreprocessor) -> TransformerPreprocessor:
        """Return a copy that applies another preprocessor, from texts to texts, first."""
        other = copy.copy(self)
        other.before = None if type(before) is BasePreprocessor else before
        return other

    def _count_cut(self, encoding: tokenizers.Encoding, read: str, text: str) -> int:
        """Return how many ids of a text exceed `max_length`."""
        left_out = sum(len(part) - self._special for part in encoding.overflowing)
        if len(read) == len(text) or not text[len(read) :].strip():
            return left_out
        found = len(encoding) - self._special + left_out
        return max(left_out, round(found * len(text) / len(read)) - found + left_out, 1)

    def _beginnings(self, text: str) -> Iterator[str]:
        """Yield ever more of a text, and at last all of it."""
        size = _CHARACTERS_A_TOKEN * self.max_length
        while self._cuts_the_end and size < len(text):
            part = text[:size]
            # The last word may be incomplete. Words are split at the space only, as some tokenizers
            # drop other white space and join the words around it.
            words = part.rpartition(" ")[0]
            yield words
            if len(words) < len(part) // 2:
                # Some scripts have no spaces, and some texts no words.
                yield part
            size *= 8
        yield text

    def _is_enough(self, encoding: tokenizers.Encoding, read: str, text: str) -> bool:
        """Return whether the ids of a beginning are those of the whole text."""
        if len(encoding) < self.max_length:
            return len(read) == len(text)
        # Elsewhere the tokenizer's last word may be incomplete, and the one before depend on it.
        return (
            _ends_with_a_word(read, text)
            or _last_word(encoding) < _last_word(encoding, with_cut=True) - 1
        )

    @cached_property
    def highest_id(self) -> int:
        """The highest id, which determines the size of an encoder's embedding."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)

    def save(self, folder: Path) -> Path:
        """Write the tokenizer as ``tokenizer.json`` into a folder; return the file's path."""
        path = Path(folder) / TOKENIZER_FILE
        path.write_text(self._text, encoding="utf-8")
        return path

    def _fields(self) -> dict[str, Any]:
        fields = {"max_length": self.max_length, "padding": self._padding, "tokenizer": self._text}
        return fields if self.before is None else {**fields, "before": self.before.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TransformerPreprocessor:
        """Rebuild from the value of `to_json`.

        Raises
        ------
        InvalidArgumentError
            If `value` is not one.
        """
        fields = dict(value) if isinstance(value, Mapping) else {}
        before = fields.pop("before", None)
        if (
            set(fields) != {"kind", "max_length", "padding", "tokenizer"}
            or fields["kind"] != cls.kind
        ):
            raise InvalidArgumentError(f"not the state of a {cls.kind!r} preprocessor")
        if not isinstance(fields["tokenizer"], str) or not isinstance(
            fields["padding"], (str, type(None))
        ):
            raise InvalidArgumentError(
                f"the state of a {cls.kind!r} preprocessor has fields of the wrong type"
            )
        preprocessor = cls.__new__(cls)
        preprocessor._set_up(
            fields["tokenizer"], fields["max_length"], "the saved tokenizer", fields["padding"]
        )
        if before is not None:
            preprocessor.before = preprocessor_from_json(before)
        return preprocessor


def _ends_with_a_word(read: str, text: str) -> bool:
    """Return whether no word of a text's beginning is incomplete."""
    return len(read) == len(text) or text[len(read)] == " "


def _last_word(encoding: tokenizers.Encoding, with_cut: bool = False) -> int:
    """Return the number of the last word that has an id, or would have without truncation."""
    parts = [encoding, *encoding.overflowing] if with_cut else [encoding]
    return max((word for part in parts for word in part.word_ids if word is not None), default=0)


def _encodings(
    encode: Callable[[list[str]], list[tokenizers.Encoding]], texts: list[str]
) -> list[tokenizers.Encoding]:
    try:
        return encode(texts)
    except BaseException as error:
        if not _is_of_tokenizers(error):
            raise
        raise CheckpointError(f"the tokenizer cannot read a text: {error}") from error


def _is_of_tokenizers(error: BaseException) -> bool:
    # The library raises nothing narrower than Exception, and panics with what is none.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _encodable(text: str) -> str:
    """Replace lone surrogates, which are valid in JSON but not in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _declared_padding(folder: Path) -> str | None:
    """Return the padding token that a ``tokenizer_config.json`` in the folder names, if any."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError) as error:
        raise InvalidArgumentError(
            f"{folder / 'tokenizer_config.json'} cannot be read: {error}"
        ) from error
    token = config.get("pad_token") if isinstance(config, dict) else None
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _pad_id(tokenizer: tokenizers.Tokenizer, declared: str | None) -> int:
    if declared is not None and (found := tokenizer.token_to_id(declared)) is not None:
        return int(found)
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    for token in _PADDING_TOKENS:
        if (found := tokenizer.token_to_id(token)) is not None:
            return int(found)
    # Masked positions have no effect, so any id will do.
    return 0
