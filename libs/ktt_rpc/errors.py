"""Conversion of errors to ``google.rpc.Status`` and back.

A `KttError`, which a caller can fix, is sent with its message, its code, and details: `ErrorInfo`
with the class as the reason (domain ``ktt``), `BadRequest` with the field, `RetryInfo` if waiting
helps. Any other error is a bug: it is sent as INTERNAL with an id, and its details are in the log
only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from ktt_core.errors import (
    AlreadyExistsError,
    AuthenticationError,
    CheckpointError,
    ConflictError,
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    JobFailedError,
    KttError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    TrainingError,
    UnavailableError,
    UnsupportedError,
    error_class,
)
from ktt_rpc.connection_errors import explain, is_permanent

__all__ = [
    "DOMAIN",
    "from_rpc_error",
    "internal_status",
    "is_transient",
    "retry_delay",
    "to_status",
]

DOMAIN = "ktt"

# The nearest base class in this table determines the code.
_CODES: dict[type[BaseException], Code.ValueType] = {
    InvalidArgumentError: Code.INVALID_ARGUMENT,
    NotFoundError: Code.NOT_FOUND,
    ConflictError: Code.ALREADY_EXISTS,
    FailedPreconditionError: Code.FAILED_PRECONDITION,
    ResourceExhaustedError: Code.RESOURCE_EXHAUSTED,
    AuthenticationError: Code.UNAUTHENTICATED,
    PermissionDeniedError: Code.PERMISSION_DENIED,
    UnavailableError: Code.UNAVAILABLE,
    DataError: Code.INVALID_ARGUMENT,
    CheckpointError: Code.FAILED_PRECONDITION,
    UnsupportedError: Code.UNIMPLEMENTED,
    TrainingError: Code.ABORTED,
    JobFailedError: Code.FAILED_PRECONDITION,
    KttError: Code.FAILED_PRECONDITION,
}

# For statuses from other servers, proxies or gRPC itself.
_CLASSES: dict[grpc.StatusCode, type[KttError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
}

# A status is sent as metadata, of which clients accept 8 KiB by default; it contains the message
# twice, encoded.
_LONGEST_MESSAGE = 2400
_LONGEST_VIOLATION = 400
# Of all violations together; there may be many, and the message contains each, too.
_VIOLATIONS = 1300
_LONGEST_BESIDE = 1600
_LONGEST_FIELD = 200

_MIB = 1024**2
# gRPC's message about messages above the receiver's limit.
_TOO_LARGE = re.compile(
    r"(SERVER|CLIENT): (Received|Sent) message larger than max \((\d+) vs\. (\d+)\)"
)


def to_status(
    error: KttError, *, request_id: str = "", public: Callable[[str], str] = str
) -> Status:
    """Return the status of an error that a caller can fix.

    Parameters
    ----------
    error : KttError
        With an attribute ``retry_after``, seconds, it gets `RetryInfo`; an `UnavailableError`
        always does.
    request_id : str
        The call's id, for `RequestInfo`.
    public : callable
        Returns a text without private paths.
    """
    several = isinstance(error, InvalidArgumentError) and len(error.violations) > 1
    longest = _LONGEST_BESIDE if several else _LONGEST_MESSAGE
    message = _cropped(public(str(error)) or type(error).__name__, longest)
    details: list[Message] = [ErrorInfo(reason=_reason(error), domain=DOMAIN)]
    if isinstance(error, InvalidArgumentError) and error.field:
        pairs = error.violations or ((error.field, str(error)),)
        pairs = tuple((field, public(problem)) for field, problem in pairs)
        details.append(BadRequest(field_violations=_violations(pairs)))
    default = 1.0 if isinstance(error, UnavailableError) else None
    retry_after = getattr(error, "retry_after", default)
    if retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(retry_after * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    return _status(_code(error), message, details, request_id)


def internal_status(error_id: str, *, request_id: str = "") -> Status:
    """Return the status of a bug, with only the id of its log entry."""
    details = [ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id})]
    message = (
        f"internal error {error_id}: the server has failed unexpectedly; its log has the "
        "details under this id"
    )
    return _status(Code.INTERNAL, message, details, request_id)


def from_rpc_error(error: grpc.RpcError) -> KttError:
    """Return the error of a call's status, with the class that it had at the server.

    A status without our `ErrorInfo` (from a proxy or gRPC itself) becomes the class nearest to its
    code.
    """
    code, message = _code_of(error), _message_of(error)
    details = _details_of(error)
    info = next((part for part in details if isinstance(part, ErrorInfo)), None)
    if info is None or info.domain != DOMAIN:
        return _foreign(code, message)
    kind = _class_of(info.reason)
    if issubclass(kind, InvalidArgumentError):
        violations = [
            (violation.field, violation.description)
            for part in details
            if isinstance(part, BadRequest)
            for violation in part.field_violations
        ]
        field = violations[0][0] if violations else ""
        return kind(message, field=field, violations=violations if len(violations) > 1 else ())
    return kind(message)


def is_transient(error: grpc.RpcError) -> bool:
    """Return whether the same call may succeed later: the server was unavailable or overloaded."""
    code, message = _code_of(error), _message_of(error)
    if code is grpc.StatusCode.UNAVAILABLE:
        return not is_permanent(message)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return retry_delay(error) is not None
    # gRPC's codes for a connection that ends during an answer.
    return code is grpc.StatusCode.CANCELLED or (
        code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        and any(sign in message for sign in ("RST_STREAM", "Stream removed", "Connection reset"))
    )


def retry_delay(error: grpc.RpcError) -> float | None:
    """Return the server's retry delay in seconds; None if it sent none."""
    for part in _details_of(error):
        if isinstance(part, RetryInfo):
            return part.retry_delay.ToTimedelta().total_seconds()
    return None


def _status(
    code: Code.ValueType, message: str, details: list[Message] | list[ErrorInfo], request_id: str
) -> Status:
    status = Status(code=code, message=message)
    for detail in [*details, *([RequestInfo(request_id=request_id)] if request_id else [])]:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _violations(pairs: Sequence[tuple[str, str]]) -> list[BadRequest.FieldViolation]:
    found: list[BadRequest.FieldViolation] = []
    left = _VIOLATIONS
    for number, (field, problem) in enumerate(pairs):
        share = min(_LONGEST_VIOLATION, left // (len(pairs) - number))
        name = field[:_LONGEST_FIELD]
        description = _cropped(problem, max(share - len(name), 40))
        # Lengths and tags take a few more bytes.
        left -= len(name.encode()) + len(description.encode()) + 8
        if found and left < 0:
            break
        found.append(BadRequest.FieldViolation(field=name, description=description))
    return found


def _code(error: KttError) -> Code.ValueType:
    return next(_CODES[base] for base in type(error).__mro__ if base in _CODES)


def _reason(error: KttError) -> str:
    public = next(
        base.__name__ for base in type(error).__mro__ if error_class(base.__name__) is base
    )
    words = re.findall(r"[A-Z][a-z]+", public.removesuffix("Error"))
    return "_".join(words).upper()


def _class_of(reason: str) -> type[KttError]:
    name = "".join(word.capitalize() for word in reason.split("_")) + "Error"
    return error_class(name) or KttError


def _cropped(text: str, longest: int) -> str:
    if len(quote(text)) <= longest:
        return text
    kept = text[:longest]
    while len(quote(kept)) > longest - 4:
        kept = kept[: len(kept) * 9 // 10]
    return kept + " ..."


def _code_of(error: grpc.RpcError) -> grpc.StatusCode:
    code = error.code() if hasattr(error, "code") else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _message_of(error: grpc.RpcError) -> str:
    return str((error.details() if hasattr(error, "details") else "") or "")


def _details_of(error: grpc.RpcError) -> list[Message]:
    if not hasattr(error, "trailing_metadata"):
        return []
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        # The details contradict the code, as when a proxy changes it: they are not reliable.
        return []
    known: list[Message] = []
    for packed in status.details if status is not None else ():
        for kind in (ErrorInfo, BadRequest, RetryInfo):
            part = kind()
            if packed.Is(kind.DESCRIPTOR) and packed.Unpack(part):
                known.append(part)
    return known


def _foreign(code: grpc.StatusCode, message: str) -> KttError:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"the server did not answer in time ({message})"
    elif code is grpc.StatusCode.UNIMPLEMENTED:
        message = f"the server does not know this call; is it of another version? ({message})"
    elif code is grpc.StatusCode.UNAVAILABLE:
        message = explain(message)
    elif too_large := _TOO_LARGE.search(message):
        message = _explain_size(*too_large.groups())
    elif not message:
        message = f"the call ended with {code.name}"
    return _CLASSES.get(code, KttError)(message)


def _explain_size(side: str, done: str, size: str, limit: str) -> str:
    """Return an explanation of gRPC's message about a message that is too large."""
    there, most = f"{int(size) / _MIB:,.1f} MiB", f"{int(limit) / _MIB:,.4g} MiB"
    if side == "CLIENT":
        return f"the answer has {there}, more than the {most} accepted here: ask for less at once"
    what, does, advice = (
        ("request", "takes", "send") if done == "Received" else ("answer", "sends", "ask for")
    )
    return (
        f"the {what} has {there}, more than the {most} that the server {does} in one: {advice} "
        "less at once, or have it started with a larger --max-message-mb"
    )
