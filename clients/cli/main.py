"""The entry point of `ktt`: global options, commands, and the display of errors."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from cli.backend.protocol import DetachedError
from cli.completion import COMPLETE_VARIABLE, answer_completion, completion_command
from cli.data import data_group
from cli.encoders import encoders_group
from cli.evaluate import evaluate_command
from cli.exit_codes import EXIT_CODES_HELP, INTERNAL, INTERRUPTED, exit_code_of
from cli.export import export_command
from cli.job_display import show_detached
from cli.jobs import jobs_group
from cli.listing import checkpoints_command, models_command
from cli.predict import predict_command
from cli.printing import echo, printable, to_json
from cli.report import report_command
from cli.serve import serve_command
from cli.session import connection_options, session_of
from cli.termination import TerminatedError
from cli.train import train_command
from ktt_core.errors import KttError
from ktt_rpc.option_types import Folder

__all__ = ["cli", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES_HELP,
)
@click.option(
    "--workspace",
    type=Folder(file_okay=False, path_type=Path),
    default=Path("workspace"),
    show_default="./workspace",
    envvar="KTT_WORKSPACE",
    show_envvar=True,
    help="The folder that holds datasets and trained models, where no --address is given. Made "
    "when something is first written.",
)
@connection_options
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """Put texts on the right path of a class tree.

    From a file of labelled texts to predictions:

    \b
      ktt data import products.csv shop --text title --classes path --sep " > "
      ktt train shop -m tfidf_hsgd
      ktt evaluate shop -m tfidf_hsgd
      ktt predict shop -m tfidf_hsgd "blue running shoes, size 42"
      ktt export shop -m tfidf_hsgd

    The same commands work on a running trainer and exporter, and print the same:

    \b
      ktt serve
      ktt --address localhost train shop -m tfidf_hsgd
      export KTT_ADDRESS=gpu1.example.com KTT_CA_CERT=ca.pem KTT_TOKEN_FILE=~/.ktt-token
      ktt train shop -m tfidf_hsgd --detach
      ktt jobs watch ID

    To another machine say how: --tls, --ca-cert FILE, or --insecure for plain text.

    Every command has its own --help; those that answer have --json for scripts.
    """
    context.obj = session_of(context)
    context.call_on_close(context.obj.close)


cli.add_command(data_group)
cli.add_command(train_command)
cli.add_command(evaluate_command)
cli.add_command(predict_command)
cli.add_command(report_command)
cli.add_command(export_command)
cli.add_command(jobs_group)
cli.add_command(models_command)
cli.add_command(encoders_group)
cli.add_command(checkpoints_command)
cli.add_command(serve_command)
cli.add_command(completion_command)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors go to standard error."""
    as_json = _wants_json(arguments)
    try:
        # Not cli.main(): it handles closed pipes differently.
        with cli.make_context("ktt", list(arguments)) as context:
            result: Any = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        with _READER_MAY_BE_GONE:
            error.show()
        return error.exit_code
    except click.ClickException as error:
        if not as_json:
            said = io.StringIO()
            error.show(said)
            with _READER_MAY_BE_GONE:
                echo(said.getvalue(), err=True, nl=False)
        else:
            _show_error("UsageError", error.format_message(), as_json)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        message = str(error) or "interrupted; nothing was left half-written"
        _show_error("Interrupted", message, as_json)
        return INTERRUPTED
    except DetachedError as detached:
        show_detached(detached.jobs, as_json)
        return 0
    except BrokenPipeError:
        # The output pipe is closed (`ktt ... | head`): nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KttError as error:
        _show_error(type(error).__name__, str(error), as_json)
        return exit_code_of(error)
    except Exception as error:
        if os.environ.get("KTT_DEBUG"):
            with _READER_MAY_BE_GONE:
                traceback.print_exception(error)
        else:
            _show_error("InternalError", f"{type(error).__name__}: {error}\n{_BUG}", as_json)
        return INTERNAL
    return result if isinstance(result, int) else 0


# Errors of the last output do not change the exit code.
_READER_MAY_BE_GONE = contextlib.suppress(OSError, ValueError)
_BUG = "This is a bug in KTT. Run it again with KTT_DEBUG=1 set and report what it prints."


def _wants_json(arguments: Sequence[str]) -> bool:
    # After "--" are texts, not options.
    options = list(arguments)
    return "--json" in options[: options.index("--") if "--" in options else None]


def _show_error(kind: str, message: str, as_json: bool) -> None:
    if as_json:
        value = {"error": {"type": kind, "message": message}}
        said = to_json(value)
    else:
        said = f"Error: {message}" if kind != "Interrupted" else message
    with _READER_MAY_BE_GONE:
        echo(said, err=True)


def _format_warning(message: Warning | str, *where: object) -> str:
    """Return a warning's message, without the line of code."""
    return printable(f"Warning: {message}\n")


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise TerminatedError


def _open_standard_files() -> None:
    """Replace standard streams that the caller has closed (``ktt ... >&-``) by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))


def _leave(code: int) -> NoReturn:
    """End the process after Python's finalisation, without C++ static destructors.

    pyarrow, gRPC and torch have threads that the interpreter does not know. If one is still running
    while static objects are destroyed, as on a busy machine, the process is aborted with exit code
    134 after all its work.
    """
    # All work is stopped: another signal ends the wait for threads.
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    # As in `multiprocessing`.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with _READER_MAY_BE_GONE:
            stream.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run `ktt` as a program. A termination signal stops it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _stop)
    _open_standard_files()
    warnings.formatwarning = _format_warning  # type: ignore[assignment]
    if COMPLETE_VARIABLE in os.environ:
        # The message would be printed into a line that is being written.
        warnings.simplefilter("ignore")
        sys.exit(answer_completion(cli))
    _leave(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
