"""An export answers where models are served: with onnxruntime, numpy and the bundle's code alone.

Runs under the serving runtime's Python and onnxruntime too. ``testdata_test.py`` writes the export.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ktt_core.tfidf.text_rows import TextRows

FOLDER = Path(__file__).parent / "testdata"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())
TEXTS = ANSWERS["texts"]


@pytest.fixture(params=sorted(ANSWERS["proba"]))
def kind(request):
    return request.param


def answered(kind, texts):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(FOLDER / f"{kind}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    log_proba, features = session.run(["log_proba", "features"], TextRows(FOLDER)(texts))
    assert features.shape == (len(texts), 24)
    return np.exp(log_proba)


def test_it_answers_as_the_model_did(kind):
    expected = np.array(ANSWERS["proba"][kind])
    np.testing.assert_allclose(answered(kind, TEXTS), expected, atol=3e-6)
    assert len(set(expected.argmax(axis=1).tolist())) > 1


def test_texts_may_come_one_by_one(kind):
    single = np.concatenate([answered(kind, [text]) for text in TEXTS])
    np.testing.assert_allclose(single, answered(kind, TEXTS), atol=1e-6)


def test_no_texts_have_no_answers(kind):
    assert answered(kind, []).shape == (0, len(ANSWERS["proba"][kind][0]))
