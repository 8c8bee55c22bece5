"""Safe unpickling of batches from BentoML's batching process.

That process sends batches to workers as pickles, and a worker accepts any request with a certain
header as a batch, even a client's: the batching process relays unknown paths (``//predict``) with
all headers, follows the worker's redirect, and the client's pickle is loaded. Here a pickle may
hold requests only.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from bentoml.exceptions import BadInput
from bentoml.marshal import utils as marshal_utils
from bentoml.types import HTTPHeaders, HTTPRequest
from multidict import istr

__all__ = ["read_batches_safely", "read_batch"]

_ALLOWED = {(kind.__module__, kind.__qualname__): kind for kind in (HTTPRequest, HTTPHeaders, istr)}


class _RequestsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise BadInput("a merged request holds something else than requests") from None


def read_batch(raw: bytes) -> tuple[HTTPRequest, ...]:
    """Return the requests of a batch.

    Raises
    ------
    BadInput
        If it is not a batch, or holds other objects.
    """
    try:
        requests = _RequestsOnly(io.BytesIO(raw)).load()
    except BadInput:
        raise
    except Exception as error:  # a damaged pickle may raise any exception
        raise BadInput(f"a merged request cannot be read ({type(error).__name__})") from None
    if not isinstance(requests, (tuple, list)) or not all(
        type(request) is HTTPRequest
        and type(request.headers) is HTTPHeaders
        and isinstance(request.body, bytes)
        for request in requests
    ):
        raise BadInput("a merged request holds something else than requests")
    return tuple(requests)


def read_batches_safely() -> None:
    """Make BentoML's workers read batches with `read_batch`."""
    marshal_utils.PickleDataLoader.split_requests = staticmethod(read_batch)
