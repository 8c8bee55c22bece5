"""The state of the call that is running, where `ktt_rpc.current_call` and the log find it."""

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
    """One call.

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
        What its answer does not show.
    abandoned : threading.Event
        Set when the caller does not wait for the answer any more.
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
        """Give the seconds until the caller gives up; None if it waits for ever."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CURRENT: ContextVar[CallState | None] = ContextVar("ktt_rpc_call", default=None)


def current() -> CallState | None:
    """Give the running call; None outside of one."""
    return _CURRENT.get()


def is_id(text: str) -> bool:
    """Tell whether what a caller sent may stand in the log as an id."""
    return _ID.fullmatch(text) is not None


def enter(state: CallState) -> Token[CallState | None]:
    """Make a call the running one of this context."""
    return _CURRENT.set(state)


def leave(token: Token[CallState | None]) -> None:
    """Undo `enter`."""
    _CURRENT.reset(token)
