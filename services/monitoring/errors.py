"""The errors of this service, by cause.

::

    MonitoringError
    |-- SettingsError    evidently.yaml or the reference set is invalid
    |-- StateError       the state folder cannot be used
    `-- RequestError     a request is invalid; nothing was changed
"""

from __future__ import annotations

__all__ = ["MonitoringError", "RequestError", "SettingsError", "StateError"]


class MonitoringError(Exception):
    """The base of all errors of this service."""


class SettingsError(MonitoringError):
    """The configuration, or the reference set that it names, is invalid."""


class StateError(MonitoringError):
    """The state folder cannot be read or written."""


class RequestError(MonitoringError):
    """An invalid request, refused as a whole.

    Parameters
    ----------
    message : str
        What is wrong and where; of the request it quotes names only.
    reason : str
        One word for the metric of refused rows.
    status : int
        The HTTP status.
    rows : int
        Number of rows in the refused request, as far as it is known.
    """

    def __init__(self, message: str, *, reason: str, status: int = 400, rows: int = 1) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.rows = max(1, rows)
