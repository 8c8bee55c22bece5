"""Bearer tokens: who shows one may call."""

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
    """The tokens a server takes. Only their hashes are kept.

    Parameters
    ----------
    tokens : iterable of str
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._hashes = tuple(_hash(token) for token in tokens)

    @classmethod
    def from_file(cls, path: Path) -> TokenSet:
        """Read one token per line; empty lines and those that begin with ``#`` are left out.

        Raises
        ------
        InvalidArgumentError
            The file cannot be read, is everybody's to read, or has a line that can be no token.
        """
        return cls(_tokens_of(path, "--tokens-file"))

    def check(self, authorization: str | None) -> None:
        """Let a call pass that shows a token.

        Parameters
        ----------
        authorization : str or None
            The value of the call's ``authorization`` metadata.

        Raises
        ------
        AuthenticationError
            It shows none, or one that is not of the set.
        """
        if not authorization:
            raise AuthenticationError(
                "this server asks for a token: send the metadata 'authorization: Bearer TOKEN'; "
                "with ktt, give --token-file"
            )
        scheme, _, token = authorization.partition(" ")
        shown = _hash(token.strip())
        # All are compared, whatever comes out, so that the time tells nothing of the set.
        matches = [hmac.compare_digest(shown, known) for known in self._hashes]
        if scheme.lower() != "bearer" or not any(matches):
            raise AuthenticationError("the token that was sent is not one that this server takes")


def read_token(path: Path) -> str:
    """Read the one token of a client's file.

    Raises
    ------
    InvalidArgumentError
        The file cannot be read, is everybody's to read, or holds not exactly one token.
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
