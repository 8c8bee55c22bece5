"""A tiny encoder with random weights, for tests and experiments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["write_tiny_encoder", "write_tiny_tokenizer"]

# MPNet uses id 1 for padding, whatever its config says.
_SPECIAL = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")


def write_tiny_encoder(
    folder: Path,
    texts: Iterable[str],
    width: int = 32,
    layers: int = 2,
    *,
    heads: int = 2,
    max_words: int = 2000,
    max_positions: int = 128,
    seed: int = 0,
    architecture: str = "distilbert",
) -> Path:
    """Write a randomly initialised encoder with a word-piece tokenizer, as Hugging Face saves one.

    Parameters
    ----------
    folder : Path
        Created if missing; receives config.json, model.safetensors, tokenizer.json and
        tokenizer_config.json.
    texts : iterable of str
        Their most frequent words, and all their characters, become the vocabulary.
    width : int
        Features per text; a multiple of `heads`.
    layers, heads : int
    max_words : int
        Whole words in the vocabulary.
    max_positions : int
        The longest input, in sub-words.
    seed : int
        Of the weights. The same arguments give the same files.
    architecture : str
        A ``model_type`` of transformers: "distilbert", "bert", "mpnet", "roberta" ...

    Returns
    -------
    Path
        The folder.
    """
    # Imported here, since a test may need no more than the name of this module.
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModel

    folder = Path(folder)
    vocabulary = write_tiny_tokenizer(folder, texts, max_words, max_positions)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=max_positions,
        pad_token_id=vocabulary["[PAD]"],
        **_inner_width(architecture, 2 * width),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoModel.from_config(config)
    config.architectures = [type(network).__name__]
    config.save_pretrained(folder)
    save_file(network.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _inner_width(architecture: str, width: int) -> dict[str, int]:
    return {"hidden_dim" if architecture == "distilbert" else "intermediate_size": width}


def _vocabulary(texts: Iterable[str], max_words: int) -> dict[str, int]:
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    normalize, split = BertNormalizer().normalize_str, BertPreTokenizer().pre_tokenize_str
    words = Counter(word for text in texts for word, _ in split(normalize(text)))
    characters = sorted({character for word in words for character in word})
    frequent = sorted(words, key=lambda word: (-words[word], word))[:max_words]
    pieces = [*characters, *(f"##{character}" for character in characters), *frequent]
    return {piece: number for number, piece in enumerate(dict.fromkeys([*_SPECIAL, *pieces]))}


def write_tiny_tokenizer(
    folder: Path, texts: Iterable[str], max_words: int = 2000, max_positions: int = 128
) -> dict[str, int]:
    """Write the tokenizer alone, without torch; return its vocabulary. See `write_tiny_encoder`."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import WordPiece as WordPieceDecoder
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary(texts, max_words)
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_positions,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return vocabulary
