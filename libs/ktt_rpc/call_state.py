"""The state of the running call, for `ktt_rpc.current_call` and the log."""

from __future__ import annotations

import re
import threading
import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, field

from ktt_rpc.private_paths import PrivatePaths
from ktt_rpc.shutdown import ShutdownFlag

__all__ = ["CallState", "current", "enter", "is_id", "leave"]

_NOTHING = PrivatePaths()


@dataclass
class CallState:
    """State of one call.

    Attributes
    ----------
    method : str
        "/ktt.trainer.v1.TrainerService/GetTrainingJob".
    request_id : str
    peer : str
    deadline : float or None
        By `time.monotonic`.
    stopping : ShutdownFlag
        Of the server.
    job_id : str
        The job it is about.
    private : PrivatePaths
        Paths to hide in its answer.
    abandoned : threading.Event
        Set when the caller has disconnected.
    """

    method: str
    request_id: str
    peer: str
    deadline: float | None
    stopping: ShutdownFlag
    job_id: str = ""
    private: PrivatePaths = _NOTHING
    abandoned: threading.Event = field(default_factory=threading.Event)

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CURRENT: ContextVar[CallState | None] = ContextVar("ktt_rpc_call", default=None)


def current() -> CallState | None:
    """Return the running call; None outside of one."""
    return _CURRENT.get()


def is_id(text: str) -> bool:
    """Return whether a text from a caller is safe to log as an id."""
    return _ID.fullmatch(text) is not None


def enter(state: CallState) -> Token[CallState | None]:
    """Set the running call of this context."""
    return _CURRENT.set(state)


def leave(token: Token[CallState | None]) -> None:
    """Undo `enter`."""
    _CURRENT.reset(token)
