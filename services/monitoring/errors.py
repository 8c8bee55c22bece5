"""What can go wrong, and whose mistake it is.

::

    MonitoringError
    |-- SettingsError    evidently.yaml or the reference is not what the service can work with
    |-- StateError       the state folder cannot be used
    `-- RequestError     a request is not what the endpoint takes; nothing was changed
"""

from __future__ import annotations

__all__ = ["MonitoringError", "RequestError", "SettingsError", "StateError"]


class MonitoringError(Exception):
    """The base of all errors of this service."""


class SettingsError(MonitoringError):
    """The configuration, or the reference it names, cannot be worked with."""


class StateError(MonitoringError):
    """The state folder cannot be read or written."""


class RequestError(MonitoringError):
    """A request that is refused whole.

    Parameters
    ----------
    message : str
        What is wrong and where; it holds no content of the request beyond names.
    reason : str
        One word for the metric of refused rows.
    status : int
        The HTTP status.
    rows : int
        How many rows were refused with it, as far as that is known.
    """

    def __init__(self, message: str, *, reason: str, status: int = 400, rows: int = 1) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.rows = max(1, rows)
