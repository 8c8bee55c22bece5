"""The exporter's handlers: plain values in and out, `KttError` for what a user can mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ktt_core.checkpoint_names import find_checkpoint
from ktt_core.errors import InvalidArgumentError
from ktt_core.registry import get_model

if TYPE_CHECKING:
    from ktt_core.decoding import Prediction
    from ktt_core.model import Model

__all__ = ["Exporter"]

Decoding = Literal["path", "independent"]


class Exporter:
    """Puts checkpoints of one workspace to use.

    Constructing it imports nothing heavy and makes no folder.

    Parameters
    ----------
    workspace : Path
        The folder with ``datasets/`` and ``weights/``.
    """

    def __init__(self, workspace: Path) -> None:
        self.root = Path(workspace)
        self._models: dict[Path, Model] = {}

    def predict(
        self,
        dataset: str,
        model: str,
        texts: Iterable[str],
        *,
        top_k: int = 1,
        min_confidence: float = 0.0,
        decoding: Decoding = "path",
        label: str = "best",
        time: str | None = None,
        block_rows: int = 1024,
    ) -> Iterator[list[Prediction]]:
        """Classify texts with a checkpoint.

        Arguments are checked and the checkpoint is loaded at the call. The texts are then read a
        block at a time, as answers are asked for, so their number does not matter.

        Parameters
        ----------
        dataset, model : str
            Whose checkpoint. The dataset itself is not needed.
        texts : iterable of str
        top_k : int
            Paths per text.
        min_confidence : float
            In [0, 1]: a path stops at the deepest class that reaches it.
        decoding : {"path", "independent"}
            Whether an answer is the most probable path, or each level's best class.
        label, time : str
            Which checkpoint: "best" or "last", of the newest run or of that time.
        block_rows : int
            Texts classified at once; 1 answers each before reading the next.

        Returns
        -------
        iterator of list of Prediction
            One list per text, in order, the most probable path first.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of range, or (when its block is read) a text is no valid Unicode
            string.
        NotFoundError
            If there is no such model or checkpoint.
        CheckpointError
            If the checkpoint is damaged.
        """
        if isinstance(texts, str):
            raise InvalidArgumentError(
                "texts is an iterable of texts, not one text: wrap it in a list"
            )
        if block_rows < 1:
            raise InvalidArgumentError(f"a block needs at least one row, not {block_rows}")
        options = {"top_k": top_k, "min_confidence": min_confidence, "decoding": decoding}
        loaded = self._load(dataset, model, label, time)
        _check(loaded, options)
        return _answers(loaded, iter(texts), options, block_rows)

    def _load(self, dataset: str, model: str, label: str, time: str | None) -> Model:
        from ktt_core.workspace import Workspace

        folder = Workspace(self.root).weights_folder(model, dataset)
        model_class = get_model(model)
        path = find_checkpoint(folder, label, time).path
        if path not in self._models:
            self._models[path] = model_class.from_checkpoint(path)
        return self._models[path]


def _check(model: Model, options: dict[str, Any]) -> None:
    """Let the decoder refuse what it would refuse, before a text is read."""
    import numpy as np

    from ktt_core.decoding import decode

    none = [np.empty((0, int(size)), dtype=np.float32) for size in model.taxonomy.level_sizes]
    decode(none, model.taxonomy, **options)


def _answers(
    model: Model, texts: Iterator[str], options: dict[str, Any], block_rows: int
) -> Iterator[list[Prediction]]:
    from ktt_core.decoding import decode, leaf_log_proba

    by_probability = options["decoding"] == "independent" and not model.levels_stand_alone
    preprocess = model.get_preprocessor(model.config)
    read = 0
    while block := list(islice(texts, block_rows)):
        levels = model.level_scores(preprocess(_clean(block, read)))
        if by_probability:
            levels = [leaf_log_proba(levels, model.taxonomy)]
        decoded = decode(levels, model.taxonomy, temperature=model.temperature, **options)
        yield from decoded.iter_predictions()
        read += len(block)


def _clean(block: list[str], read: int) -> list[str]:
    """Return texts as an import would have stored them."""
    from ktt_core.datasets.texts import squash

    for number, text in enumerate(block, read + 1):
        if not isinstance(text, str):
            raise InvalidArgumentError(f"text {number} is no string, but {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                f"text {number} is not valid Unicode; give it as UTF-8: {text[:60]!r}"
            ) from None
    return [squash(text) for text in block]
