"""Predict: the handler's answers, within bounds, and which field is at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from exporter import servicer
from exporter.conftest import MODELS, TIME, Served, refused
from exporter.messages import answer_from_proto
from ktt.exporter.v1 import predict_pb2
from ktt_core.checkpoints.format import read_arrays, write_arrays

TEXTS = ["running shoes", "tennis ball", "electric guitar", "\0x\u2003", "абв 中文 \U0001f600"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"top_k": 2, "min_confidence": 0.9}, {"top_k": 2, "min_confidence": 0.9}),
        ({"decoding": predict_pb2.DECODING_INDEPENDENT}, {"decoding": "independent"}),
        ({"run_time": TIME, "label": "best"}, {"time": TIME}),
    ],
)
def test_predictions_are_those_of_the_handler(
    resting: Served, model: str, fields: dict[str, Any], options: dict[str, Any]
) -> None:
    request = predict_pb2.PredictRequest(dataset="shop", model=model, texts=TEXTS, **fields)
    found = [answer_from_proto(answer) for answer in resting.calls.Predict(request).answers]
    expected = list(resting.exporter.predict("shop", model, TEXTS, **options))
    assert [[(entry.path, entry.probability) for entry in answer] for answer in found] == [
        [(entry.path, entry.probability) for entry in answer] for answer in expected
    ]


def test_no_texts_have_no_answers(resting: Served) -> None:
    request = predict_pb2.PredictRequest(dataset="shop", model="tfidf_hsgd")
    assert not resting.calls.Predict(request).answers


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"texts": ["x"] * 1001}, "INVALID_ARGUMENT", "texts"),
        ({"texts": ["x" * 1_000_000] * 9}, "INVALID_ARGUMENT", "texts[8]"),
        ({"texts": ["x", "x" * 5_000_000]}, "INVALID_ARGUMENT", "texts[1]"),
        ({"texts": ["x", "ä" * 500_001]}, "INVALID_ARGUMENT", "texts[1]"),
        ({"texts": ["x", "y", "\0"]}, "INVALID_ARGUMENT", "texts[2]"),
        ({"texts": [""]}, "INVALID_ARGUMENT", "texts[0]"),
        ({"top_k": -1}, "INVALID_ARGUMENT", "top_k"),
        ({"min_confidence": 2.0}, "INVALID_ARGUMENT", "min_confidence"),
        ({"min_confidence": float("nan")}, "INVALID_ARGUMENT", "min_confidence"),
        ({"decoding": 9}, "INVALID_ARGUMENT", "decoding"),
        ({"label": "x"}, "INVALID_ARGUMENT", "label"),
        ({"run_time": "x"}, "INVALID_ARGUMENT", "run_time"),
        ({"dataset": "../x"}, "INVALID_ARGUMENT", "dataset"),
        ({"model": ""}, "INVALID_ARGUMENT", "model"),
        ({"model": "none"}, "NOT_FOUND", ""),
        ({"dataset": "none"}, "NOT_FOUND", ""),
        ({"texts": ["x" * 20_000_000]}, "RESOURCE_EXHAUSTED", ""),
    ],
)
def test_bad_predictions_say_which_field(
    resting: Served, fields: dict[str, Any], code: str, field: str
) -> None:
    values = {"dataset": "shop", "model": "tfidf_hsgd", "texts": ["shoes"]} | fields
    request = predict_pb2.PredictRequest(**values)
    if code == "RESOURCE_EXHAUSTED":
        # gRPC itself refuses a message of that size, without details.
        with pytest.raises(grpc.RpcError) as caught:
            resting.calls.Predict(request)
        assert caught.value.code().name == code
    else:
        found = refused(resting.calls.Predict, request)
        assert found[:2] == (code, [field] if field else [])


def test_the_largest_text_is_answered(resting: Served) -> None:
    request = predict_pb2.PredictRequest(
        dataset="shop", model="tfidf_hsgd", texts=["shoes " * 166_666 + "shoe"]
    )
    assert len(request.texts[0]) == 1_000_000
    assert len(resting.calls.Predict(request).answers) == 1


def test_answers_are_bounded(resting: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "MAX_PATHS", 7)
    request = predict_pb2.PredictRequest(
        dataset="shop", model="tfidf_hsgd", texts=["a", "b"], top_k=4
    )
    assert refused(resting.calls.Predict, request)[:2] == ("INVALID_ARGUMENT", ["top_k"])


def test_a_checkpoint_that_was_replaced_answers_anew(served: Served, workspace: Path) -> None:
    request = predict_pb2.PredictRequest(
        dataset="shop", model="tfidf_hsgd", texts=["running shoes"]
    )
    before = served.calls.Predict(request).answers[0].paths[0].probability
    path = workspace / f"weights/tfidf_hsgd/shop/best_{TIME}.safetensors"
    metadata, arrays = read_arrays(path, "tfidf_hsgd")
    write_arrays(path, {**metadata, "temperature": metadata["temperature"] * 3}, arrays)
    assert served.calls.Predict(request).answers[0].paths[0].probability < before
