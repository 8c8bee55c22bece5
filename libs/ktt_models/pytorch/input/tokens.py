"""A split's token ids, cached by rows, tokenizer and length."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import tokenizers

from ktt_core.datasets.dataset import Split
from ktt_core.own_preprocessor import module_source, text_preprocessor
from ktt_core.preprocessors import TransformerPreprocessor
from ktt_core.progress import Progress, ProgressCallback
from ktt_models.pytorch.input.cache import Cache
from ktt_models.pytorch.input.spool import Spool
from ktt_models.pytorch.input.tables import TokenTable

__all__ = ["TokenSource"]

# Texts tokenised at once: enough for all cores, and a few MB.
_BLOCK_ROWS = 8_192

# Increased when the meaning of stored values changes.
_FORMAT = 2


class TokenSource:
    """The token ids of a split, computed lazily by `table`.

    Parameters
    ----------
    split : Split
    preprocessor : TransformerPreprocessor
    """

    def __init__(self, split: Split, preprocessor: TransformerPreprocessor) -> None:
        self.split = split
        self.preprocessor = preprocessor
        self._table: TokenTable | None = None

    @cached_property
    def content(self) -> str:
        """The digest of the rows and of their taxonomy."""
        digest = hashlib.sha256(self.split.taxonomy.leaf_codes.tobytes())
        with self.split.view() as file:
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()

    @cached_property
    def made_of(self) -> dict[str, str | int]:
        """Further inputs of the ids."""
        state = self.preprocessor.to_json()
        tokenizer = str(state["tokenizer"])
        own = {}
        if type(self.preprocessor) is not TransformerPreprocessor or self.preprocessor.before:
            # Its state and its code, which may change under the same name.
            told = [state, module_source(self.preprocessor)]
            told.append(module_source(text_preprocessor(self.preprocessor)))
            digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
            own["preprocessor"] = digest.hexdigest()
        return {
            "format": _FORMAT,
            "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest(),
            "tokenizers": tokenizers.__version__,
            "max_length": self.preprocessor.max_length,
            **own,
        }

    def table(self, progress: ProgressCallback) -> TokenTable:
        """Return the ids, from the cache if they are there.

        Raises
        ------
        DataError
            If the split is damaged.
        ResourceExhaustedError
            If there is room neither on disk nor in memory.
        """
        if self._table is None:
            total = self.split.n_rows
            cache = Cache(self.split.path, "tokens", self.content, self.made_of)
            self._table = cache.get(
                TokenTable.of,
                lambda folder: self._make(folder, progress),
                TokenTable.columns,
                lambda: progress(Progress("tokenize", 0, total, "rows")),
            )
        return self._table

    def _make(self, folder: Path | None, progress: ProgressCallback) -> TokenTable:
        total, depth = self.split.n_rows, self.split.taxonomy.depth
        small = self.preprocessor.highest_id < 2**16
        values = Spool(folder, np.uint16 if small else np.int32)
        offsets = Spool(folder, np.int64)
        codes, cut = Spool(folder, np.int32), Spool(folder, np.int32)
        offsets.append(np.zeros(1, dtype=np.int64))
        done = end = 0
        progress(Progress("tokenize", done, total, "rows"))
        for texts, block_codes in self.split.iter_batches(_BLOCK_ROWS):
            ids, lengths, left_out = self.preprocessor.counted_ids(texts)
            values.append(ids)
            offsets.append(end + np.cumsum(lengths))
            codes.append(block_codes)
            cut.append(left_out)
            end += len(ids)
            done += len(texts)
            progress(Progress("tokenize", done, total, "rows"))
        return TokenTable(
            values.array(), offsets.array(), codes.array().reshape(-1, depth), cut.array()
        )
