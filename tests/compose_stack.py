"""Containers of a compose file, under a name and on ports of one test alone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Stack", "call", "compose_command", "docker", "free_port", "inspect", "wait_healthy"]

# A cold start on a busy machine: the health check asks every ten seconds.
START_SECONDS = 120


def docker(*arguments: str, check: bool = True) -> str:
    """Call the Docker client and return what it prints."""
    return call(["docker", *arguments], check=check)


def call(
    command: list[str],
    check: bool = True,
    more: dict[str, str] | None = None,
    folder: Path | None = None,
    given: bytes | None = None,
) -> str:
    """Run a program and return what it prints on both streams; a failure fails the test."""
    # Not the test's own environment: Debian's docker-compose is Python too, with its own path.
    passed = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    passed |= {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = subprocess.run(
        command, env=passed | (more or {}), cwd=folder, input=given, capture_output=True
    )
    output = (result.stdout + result.stderr).decode(errors="replace")
    if check and result.returncode:
        pytest.fail(f"{' '.join(command)}: {output}")
    return output


def inspect(name: str) -> Any:
    """Return what the engine knows of a container or an image."""
    return json.loads(docker("inspect", name))[0]


def wait_healthy(container: str, name: str = "it") -> None:
    """Wait until a container's health check is content."""
    end = time.monotonic() + START_SECONDS
    while (status := inspect(container)["State"]["Health"]["Status"]) != "healthy":
        if time.monotonic() > end:
            pytest.fail(f"{name} is {status}:\n{docker('logs', container)}")
        time.sleep(1)


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compose_command() -> list[str]:
    """Return the compose command; without it, or an engine, the test is skipped.

    With KTT_REQUIRE_DOCKER it fails instead.
    """
    missing = ""
    if shutil.which("docker") is None or "Server" not in docker("version", check=False):
        missing = "no Docker engine answers"
    elif "version" in docker("compose", "version", check=False):
        return ["docker", "compose"]
    elif shutil.which("docker-compose") is None:
        missing = "found neither `docker compose` nor `docker-compose`"
    if missing and os.environ.get("KTT_REQUIRE_DOCKER", "0") not in ("", "0"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return ["docker-compose"]


@dataclass(frozen=True)
class Stack:
    """The services of a compose file.

    Attributes
    ----------
    command
        The compose command with the files and the project's name.
    environment
        What the files' variables are; ``KTT_<SERVICE>_PORT`` says where a service listens.
    folder
        Where compose is called.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path | None = None

    def compose(self, *arguments: str) -> str:
        """Call compose and return what it prints."""
        # An engine that removes images on a busy machine takes its time.
        environment = {"COMPOSE_HTTP_TIMEOUT": "600", **self.environment}
        return call([*self.command, *arguments], more=environment, folder=self.folder)

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        return self.compose("ps", "-q", service).split()[-1]

    def wait_healthy(self, service: str) -> None:
        """Wait until a service's health check is content."""
        wait_healthy(self.container(service), service)

    def address(self, service: str) -> str:
        """Return where a service listens on this machine."""
        return f"127.0.0.1:{self.environment[f'KTT_{service.upper()}_PORT']}"
