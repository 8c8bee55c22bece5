"""An encoder as a network: token ids in, one row of features per text out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ktt_core.errors import DataError, InvalidArgumentError, KttError, UnsupportedError
from ktt_models.pytorch.encoders.folder import read_facts

__all__ = ["Encoder", "Pooling"]

Pooling = Literal["cls", "mean"]


class Encoder(nn.Module):
    """A BERT-like encoder and the pooling of its last layer.

    Created by `from_folder` with trained weights, or by `from_config_json` for a checkpoint's
    weights; in evaluation mode.

    Attributes
    ----------
    width : int
        Features per text, d.
    pooling : {"cls", "mean"}
        The first token's features, or the mean over the text's tokens.
    config_json : dict
        All that `from_config_json` needs, as a JSON value.
    """

    def __init__(self, network: Any, pooling: Pooling) -> None:
        super().__init__()
        if pooling not in ("cls", "mean"):
            raise InvalidArgumentError(f"pooling = {pooling!r} must be cls or mean")
        # The pooling layer of some checkpoints is not loaded: it would be an unused weight without
        # a gradient.
        if getattr(network, "pooler", None) is not None:
            network.pooler = None
        self.network = network
        self.pooling = pooling
        self.width = int(network.config.hidden_size)
        self.config_json: dict[str, Any] = {
            "pooling": pooling,
            "config": _plain_config(network.config.to_dict()),
        }
        self._check()
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the features of a batch of texts.

        Parameters
        ----------
        input_ids, attention_mask : Tensor of int64, shape (n, length)
            The mask is 1 where a token is and 0 where padding is. A text without any token is read
            as one token of padding.

        Returns
        -------
        Tensor of float32, shape (n, width)
        """
        first = torch.maximum(attention_mask[:, :1], 1 - attention_mask.amax(1, keepdim=True))
        attention_mask = torch.cat([first, attention_mask[:, 1:]], dim=1)
        outputs = self.network(input_ids=input_ids, attention_mask=attention_mask)
        hidden = outputs.last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0].float()
        weights = attention_mask.unsqueeze(-1).float()
        return (hidden.float() * weights).sum(1) / weights.sum(1)

    @classmethod
    def from_folder(cls, folder: Path, pooling: Pooling = "mean") -> Encoder:
        """Load an encoder with its weights, from safetensors alone and without the network.

        Parameters
        ----------
        folder : Path
            As `find_encoder` returns it.
        pooling : {"cls", "mean"}

        Raises
        ------
        NotFoundError
            If a file is missing.
        UnsupportedError
            If it is not a BERT-like encoder, or could be loaded only by running its own code.
        DataError
            If a file is damaged, or the weights do not fit the config.
        """
        folder = Path(folder)
        read_facts(folder)
        network = _load(folder)
        return cls(network, pooling)

    @classmethod
    def from_config_json(
        cls, value: Mapping[str, Any], sizes: Sequence[int] | None = None
    ) -> Encoder:
        """Rebuild an encoder from its `config_json`, for weights that are loaded into it.

        Until then the weights are undefined; no random numbers are drawn.

        Parameters
        ----------
        value : mapping
        sizes : sequence of int, optional
            The number of values in each array of weights. An encoder that is larger than all of
            them together is not built: its config may be forged.

        Raises
        ------
        DataError
            If `value` is not valid.
        """
        from transformers import AutoConfig, AutoModel

        fields = dict(value) if isinstance(value, Mapping) else {}
        config = fields.get("config")
        if set(fields) != {"pooling", "config"} or not isinstance(config, Mapping):
            raise DataError("this is not the description of an encoder")
        config = _plain_config(config)
        kind = config.pop("model_type", None)
        try:
            made = AutoConfig.for_model(kind, **config)
            if sizes is not None:
                _check_size(made, sizes)
            with _NoRandomWeights():
                network = AutoModel.from_config(made)
            return cls(network, fields["pooling"])
        except KttError as error:
            raise DataError(f"the encoder cannot be rebuilt: {error}") from error
        except Exception as error:  # transformers raises whatever a strange value makes it raise
            raise DataError(
                f"an encoder of type {kind!r:.80} cannot be rebuilt: {_first_line(error)}"
            ) from error

    def fingerprint(self) -> str:
        """Return the digest of config, pooling and weights: "sha256:...".

        Computed from the current weights.
        """
        digest = hashlib.sha256(repr(_sorted(self.config_json)).encode())
        for name, tensor in sorted(self.state_dict().items()):
            plain = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
            digest.update(plain.view(-1).view(torch.uint8).numpy())
        return f"sha256:{digest.hexdigest()}"

    def _check(self) -> None:
        """Check that the network has an encoder's inputs and outputs."""
        kind = type(self.network).__name__
        self.network.eval()
        one = torch.ones((1, 1), dtype=torch.int64)
        try:
            with torch.inference_mode():
                outputs = self.network(input_ids=one, attention_mask=one)
            shape = tuple(outputs.last_hidden_state.shape)
        except Exception as error:  # the error for a missing input depends on the architecture
            raise UnsupportedError(
                f"{kind} does not work as a BERT-like encoder: {_first_line(error)}"
            ) from error
        if shape != (1, 1, self.width):
            raise UnsupportedError(
                f"{kind} does not return {self.width} features per token, as its config says, "
                f"but with {shape}"
            )


def _check_size(config: Any, sizes: Sequence[int]) -> None:
    """Refuse a config of more layers or weights than there are, before memory is taken for them."""
    from transformers import AutoModel

    # Every layer has weights of its own, and takes time to make even without them.
    fits = getattr(config, "num_hidden_layers", 0) <= len(sizes)
    if fits:
        with torch.device("meta"):
            shape = AutoModel.from_config(config)
        fits = sum(weights.numel() for weights in shape.parameters()) <= sum(sizes)
    if not fits:
        raise DataError("its config is that of a larger encoder than its weights")


class _NoRandomWeights(TorchFunctionMode):
    """Skips the random initialisation of new weights, which takes most of their creation.

    For this thread only: another may be creating a network to train.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the function unless it draws random numbers."""
        # normal_, kaiming_uniform_, trunc_normal_ ...
        if getattr(func, "__name__", "").endswith(("normal_", "uniform_")):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _load(folder: Path) -> nn.Module:
    from transformers import AutoModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    verbosity = logging.get_verbosity()
    # Reports about heads of other tasks that are not loaded are not useful.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            network, info = AutoModel.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                # Reported below with advice.
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # it raises many different exceptions for damaged files
        raise DataError(
            f"the encoder in {folder} cannot be loaded: {_first_line(error)}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
    kind = network.config.model_type
    for name, found, wanted in sorted(info["mismatched_keys"]):
        raise DataError(
            f"the weights in {folder} are not those of the {kind} that its config.json describes: "
            f"{name} has the shape {tuple(found)}, not {tuple(wanted)} (width, layers and "
            "vocabulary must be the same in both)"
        )
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise DataError(
            f"the weights in {folder} are not those of the {kind} that its config.json describes: "
            f"{len(missing)} are missing, the first is {missing[0]}"
        )
    return network


def _plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the entries on an encoder's origin, or that would load other code."""
    left_out = {"_name_or_path", "auto_map", "transformers_version", "architectures", "dtype"}
    return {key: value for key, value in config.items() if key not in left_out}


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((str(key), _sorted(entry)) for key, entry in value.items())
    return [_sorted(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
