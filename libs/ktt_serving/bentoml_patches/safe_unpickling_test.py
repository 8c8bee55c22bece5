from __future__ import annotations

import os
import pickle

import pytest
from bentoml.exceptions import BadInput
from bentoml.marshal.utils import PickleDataLoader
from bentoml.types import HTTPHeaders, HTTPRequest

from ktt_serving.bentoml_patches.safe_unpickling import read_batch, read_batches_safely


class Command:
    def __reduce__(self):
        return os.mkdir, ("ran",)


class HiddenInHeaders:
    def __reduce__(self):
        return HTTPHeaders, (Command(),)


def test_a_batch_is_read():
    sent = (
        HTTPRequest((("Content-Type", "application/json"), ("x-a", "b")), b'{"text": "a"}'),
        HTTPRequest((), b""),
    )
    read = read_batch(PickleDataLoader.merge_requests(sent))
    assert [(request.body, dict(request.headers)) for request in read] == [
        (b'{"text": "a"}', {"Content-Type": "application/json", "x-a": "b"}),
        (b"", {}),
    ]
    assert read[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("thing", [Command(), (Command(),), (HiddenInHeaders(),)])
def test_a_pickle_that_runs_something_is_refused(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput):
        read_batch(pickle.dumps(thing))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no pickle",
        pickle.dumps("text"),
        pickle.dumps([1, 2]),
        pickle.dumps((HTTPRequest((), "text"),)),
        pickle.dumps([{"headers": (), "body": b""}]),
        PickleDataLoader.merge_requests((HTTPRequest((), b"a"),))[:-20],
    ],
)
def test_what_is_no_batch_is_refused(raw):
    with pytest.raises(BadInput):
        read_batch(raw)


def test_bentoml_reads_batches_so():
    read_batches_safely()
    with pytest.raises(BadInput):
        PickleDataLoader.split_requests(pickle.dumps(Command))
