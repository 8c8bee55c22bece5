"""Starts a bundle's service, for its program ``start``.

It extends BentoML's ``serve-gunicorn``: it listens only on a given address, by default of this
machine; it applies changes (`ktt_serving.bentoml_patches`) to BentoML's batching process, which
receives all requests and does not load a bundle's code; and its processes end together. Without it,
``bentoml serve-gunicorn ./`` gives the same answers, to the whole network.
"""

from __future__ import annotations

import argparse
import ipaddress
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

import psutil

from ktt_core.subprocesses import end_with_parent

__all__ = ["main"]


_HOST = "127.0.0.1"


def main(bundle: Path, arguments: Sequence[str] | None = None) -> None:
    """Serve a bundle until it is stopped.

    Parameters
    ----------
    bundle : Path
        The folder of the saved BentoService.
    arguments : sequence of str, optional
        By default those of the command line.
    """
    options, others = _parser().parse_known_args(arguments)
    _check_free(options.host, options.port)
    # Before BentoML is imported, which reads it once.
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    import bentoml

    from ktt_serving.bentoml_patches.apply import apply

    # Accessible to its owner only.
    folder, own = Path(mkdtemp(prefix="ktt-", dir=_folder_of_sockets())), os.getpid()
    apply("launcher", host=options.host, port=options.port, workers_at=folder / "workers.sock")
    _end_forks_with_their_parents()
    ended = threading.Event()
    threading.Thread(target=_end_with_the_workers, args=(ended,), daemon=True).start()
    # Numerical libraries read the number of processes from here.
    sys.argv[1:] = ["serve-gunicorn", str(bundle), "--port", str(options.port)]
    sys.argv += ["--workers", str(options.workers), *others]
    try:
        bentoml.commandline_interface()
    finally:
        # Not reached by a worker that could not start.
        if os.getpid() == own:
            for process in multiprocessing.active_children():
                process.terminate()
                process.join()
            shutil.rmtree(folder, ignore_errors=True)
        if ended.is_set():
            print("what answers has ended, and so does this", file=sys.stderr, flush=True)
            sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve this model over HTTP: http://127.0.0.1:5000/try is a page to try it.",
        epilog="Other options are those of `bentoml serve-gunicorn`.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--host",
        default=_HOST,
        type=_host,
        help="the address to listen on (%(default)s: this machine alone; 0.0.0.0: all addresses). "
        "There is no authentication: restrict access to authorised clients",
    )
    parser.add_argument(
        "--port", type=_number(65535), default=5000, help="the port to listen on (%(default)s)"
    )
    parser.add_argument(
        "--workers",
        "-w",
        type=_number(1000),
        # A string, so that argparse converts it.
        default=os.environ.get("BENTOML_GUNICORN_WORKERS") or "2",
        help="processes that answer, each of which holds the model "
        "(BENTOML_GUNICORN_WORKERS, or 2)",
    )
    return parser


def _number(largest: int) -> Any:
    def number(value: str) -> int:
        if not value.isdecimal() or not 1 <= int(value) <= largest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from 1 to {largest}, not {value!r:.40}"
            )
        return int(value)

    return number


def _host(value: str) -> str:
    if value == "localhost":
        return value
    try:
        address = ipaddress.ip_address(value.strip("[]"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be an address of this machine or localhost, not {value!r:.80}"
        ) from None
    return f"[{address}]" if address.version == 6 else str(address)


def _check_free(host: str, port: int) -> None:
    """Exit with one line if the address is in use, before any process is started."""
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as probe:
        # As in gunicorn: connections of a server that has just ended do not block the address.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            sys.exit(
                f"start: cannot listen on {host}:{port}: {error.strerror}; give another --host or "
                "--port"
            )


def _folder_of_sockets() -> str | None:
    # A socket's address has 107 bytes at most.
    return None if len(os.fsencode(gettempdir())) < 80 else "/tmp"


def _end_forks_with_their_parents() -> None:
    """Make each process that is forked from now on, and their children, end with its parent.

    Even if the parent is killed.
    """
    parents = [os.getpid()]

    def before() -> None:
        parents[0] = os.getpid()

    def in_child() -> None:
        end_with_parent()
        if os.getppid() != parents[0]:
            os._exit(1)

    os.register_at_fork(before=before, after_in_child=in_child)


def _end_with_the_workers(ended: threading.Event) -> None:
    """End this process when the parent of the workers ends.

    BentoML itself would continue to batch requests that no process answers.
    """
    while not (found := multiprocessing.active_children()):
        time.sleep(0.2)
    # Only one waiter receives the exit status: this one, or gunicorn, which waits for all children.
    while found[0] in multiprocessing.active_children() and psutil.pid_exists(found[0].pid):
        time.sleep(0.2)
    if found[0].exitcode == 0:
        return  # as requested
    ended.set()
    os.kill(os.getpid(), signal.SIGTERM)
