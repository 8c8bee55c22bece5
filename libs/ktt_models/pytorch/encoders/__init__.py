"""Finding, listing and loading of transformer encoders.

`find_encoder`, `list_encoders` and `encoder_preprocessor` import no torch; `encoder.Encoder` does,
and is imported from its module.
"""

from ktt_models.pytorch.encoders.discovery import find_encoder
from ktt_models.pytorch.encoders.folder import EncoderFacts, read_facts
from ktt_models.pytorch.encoders.listing import FoundEncoder, list_encoders
from ktt_models.pytorch.encoders.tokenizer import encoder_preprocessor, with_tokenizer

__all__ = [
    "EncoderFacts",
    "FoundEncoder",
    "encoder_preprocessor",
    "find_encoder",
    "list_encoders",
    "read_facts",
    "with_tokenizer",
]
