"""The former name of `ktt_serving.adapters`, for services of other packages; one more release."""

from __future__ import annotations

import warnings

from ktt_serving.adapters import MAX_WAIT_MS, JsonAnswers, TextRequests, TextTask, text_api

__all__ = ["MAX_WAIT_MS", "JsonAnswers", "TextRequests", "TextTask", "text_api"]

warnings.warn("ktt_serving.wire is now ktt_serving.adapters", DeprecationWarning, stacklevel=2)
