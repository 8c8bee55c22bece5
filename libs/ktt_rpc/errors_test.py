import grpc
import pytest
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st

import ktt_core.errors
from ktt_core.errors import (
    ConflictError,
    InvalidArgumentError,
    KttError,
    NotFoundError,
    QueueFullError,
    UnavailableError,
    error_class,
)
from ktt_rpc.errors import from_rpc_error, internal_status, is_transient, retry_delay, to_status

CLASSES = [kind for name in ktt_core.errors.__all__ if (kind := error_class(name))]


class Answer(grpc.RpcError):
    """A call that ended with a status, as a client sees it."""

    def __init__(self, code, details="", metadata=()):
        self._all = code, details, metadata

    @classmethod
    def of(cls, status):
        sent = rpc_status.to_status(status)
        return cls(sent.code, sent.details, sent.trailing_metadata)

    def code(self):
        return self._all[0]

    def details(self):
        return self._all[1]

    def trailing_metadata(self):
        return self._all[2]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_comes_back_as_the_class_it_was(kind):
    back = from_rpc_error(Answer.of(to_status(kind("what was wrong"))))
    assert type(back) is kind
    assert str(back) == "what was wrong"


def test_every_error_but_their_base_has_a_code_that_says_something():
    codes = {kind: Answer.of(to_status(kind("x"))).code() for kind in CLASSES}
    assert codes[InvalidArgumentError] is grpc.StatusCode.INVALID_ARGUMENT
    assert codes[NotFoundError] is grpc.StatusCode.NOT_FOUND
    assert codes[ConflictError] is grpc.StatusCode.ALREADY_EXISTS
    assert codes[QueueFullError] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert codes[ktt_core.errors.FailedPreconditionError] is grpc.StatusCode.FAILED_PRECONDITION
    assert not {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.OK} & {
        *codes.values()
    }


def test_a_class_of_one_s_own_comes_back_as_the_public_one_above_it():
    class OwnError(NotFoundError):
        pass

    assert type(from_rpc_error(Answer.of(to_status(OwnError("x"))))) is NotFoundError


def test_a_field_goes_along():
    back = from_rpc_error(Answer.of(to_status(InvalidArgumentError("x", field="spec.model"))))
    assert isinstance(back, InvalidArgumentError)
    assert back.field == "spec.model"


def test_every_field_that_is_wrong_goes_along():
    pairs = tuple((f"spec.key{at}", f"key{at} is wrong") for at in range(20))
    error = InvalidArgumentError("much is wrong", violations=pairs)
    assert error.field == "spec.key0"
    back = from_rpc_error(Answer.of(to_status(error)))
    assert isinstance(back, InvalidArgumentError)
    assert (back.violations, back.field, str(back)) == (pairs, "spec.key0", "much is wrong")


FIELDS = st.text(max_size=5000)


@settings(deadline=None)
@given(st.text(), FIELDS, st.lists(st.tuples(FIELDS, FIELDS), max_size=3), st.integers(1, 200))
def test_whatever_the_message_the_metadata_stay_within_what_clients_take(
    message, field, violations, times
):
    message = message * 500
    error = InvalidArgumentError(message, field=field, violations=violations * times)
    answer = Answer.of(to_status(error, request_id="x" * 64))
    percent_encoded = sum(3 if ord(c) > 126 else 1 for c in answer.details()) * 2
    sent = sum(len(value) * 4 / 3 for _, value in answer.trailing_metadata()) + percent_encoded
    assert sent < 8192


def test_only_what_may_pass_asks_for_another_try():
    assert retry_delay(Answer.of(to_status(UnavailableError("x")))) == 1.0
    for kind in (InvalidArgumentError, QueueFullError, NotFoundError):
        answer = Answer.of(to_status(kind("x")))
        assert retry_delay(answer) is None
        assert not is_transient(answer)
    assert is_transient(Answer(grpc.StatusCode.UNAVAILABLE, "Socket closed"))
    assert is_transient(Answer(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"))
    assert not is_transient(Answer(grpc.StatusCode.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED"))
    assert not is_transient(Answer.of(internal_status("abc")))


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_a_status_of_another_server_becomes_an_error_too(code):
    back = from_rpc_error(Answer(code, ""))
    assert isinstance(back, KttError)
    assert str(back)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("SERVER: Received message larger than max (23068672 vs. 16777216)", "--max-message-mb"),
        ("SERVER: Sent message larger than max (3145728 vs. 2097152)", "--max-message-mb"),
        ("Stream removed (CLIENT: Received message larger than max (3 vs. 2))", "ask for less"),
    ],
)
def test_what_is_too_large_for_one_message_is_told_with_the_way_out(said, words):
    answer = Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, said)
    assert words in str(from_rpc_error(answer))
    assert "larger than max" not in str(from_rpc_error(answer))
    assert not is_transient(answer)


def test_details_that_are_none_of_ours_or_damaged_do_no_harm():
    metadata = (("grpc-status-details-bin", b"\xff\xff\xff"),)
    answer = Answer(grpc.StatusCode.NOT_FOUND, "gone", metadata)
    assert type(from_rpc_error(answer)) is NotFoundError
    assert retry_delay(answer) is None
