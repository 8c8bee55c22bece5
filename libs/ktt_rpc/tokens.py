"""Authentication by bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from ktt_core.errors import AuthenticationError, InvalidArgumentError
from ktt_rpc.secret_files import read_secret

__all__ = ["TokenSet", "read_token"]

_SHORTEST = 16
_LONGEST = 4096


class TokenSet:
    """The tokens that a server accepts. Only their hashes are stored.

    Parameters
    ----------
    tokens : iterable of str
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._hashes = tuple(_hash(token) for token in tokens)

    @classmethod
    def from_file(cls, path: Path) -> TokenSet:
        """Read one token per line; empty lines and those that start with ``#`` are skipped.

        Raises
        ------
        InvalidArgumentError
            If the file cannot be read, is readable by everyone, or has a line that is not a valid
            token.
        """
        return cls(_tokens_of(path, "--tokens-file"))

    def check(self, authorization: str | None) -> None:
        """Check the token of a call.

        Parameters
        ----------
        authorization : str or None
            The value of the call's ``authorization`` metadata.

        Raises
        ------
        AuthenticationError
            If it has none, or one that is not in the set.
        """
        if not authorization:
            raise AuthenticationError(
                "this server requires a token: send the metadata 'authorization: Bearer TOKEN'; "
                "with ktt, give --token-file"
            )
        scheme, _, token = authorization.partition(" ")
        shown = _hash(token.strip())
        # All are compared, so that the time reveals nothing.
        matches = [hmac.compare_digest(shown, known) for known in self._hashes]
        if scheme.lower() != "bearer" or not any(matches):
            raise AuthenticationError("this server does not accept the token")


def read_token(path: Path) -> str:
    """Read the token of a client's file.

    Raises
    ------
    InvalidArgumentError
        If the file cannot be read, is readable by everyone, or does not hold exactly one token.
    """
    tokens = _tokens_of(path, "--token-file")
    if len(tokens) != 1:
        raise InvalidArgumentError(
            f"--token-file {path}: it holds {len(tokens)} tokens; a client's file holds one"
        )
    return tokens[0]


def _tokens_of(path: Path, what: str) -> list[str]:
    try:
        lines = read_secret(path, what).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"{what} {path}: byte {error.start + 1} is not ASCII; tokens are"
        ) from error
    tokens = []
    for number, line in enumerate(lines, 1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        if not token.isprintable() or " " in token:
            raise InvalidArgumentError(
                f"{what} {path}, line {number}: a token has no blanks and no control characters"
            )
        if not _SHORTEST <= len(token) <= _LONGEST:
            raise InvalidArgumentError(
                f"{what} {path}, line {number}: a token of {len(token)} characters; use "
                f"{_SHORTEST} to {_LONGEST} (`openssl rand -hex 32` makes one)"
            )
        tokens.append(token)
    if not tokens:
        raise InvalidArgumentError(f"{what} {path}: there is no token in it")
    return tokens


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
