"""The entry point: parses the command line, runs a sub-command, turns errors into an exit status.

Exit status: 0 done, 1 an error (one line on stderr; ``--verbose`` shows where it came from), 2 wrong
usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from social_perception import __version__
from social_perception.cli import (
    annotate,
    audit,
    bench,
    detect,
    doctor,
    evaluate,
    listen,
    live,
    score,
    send,
    train,
)
from social_perception.core.errors import SocialPerceptionError, missing_package

PROGRAM = "social-perception"

_COMMANDS = (live, annotate, score, detect, listen, train, evaluate, audit, bench, doctor, send)
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process); return the exit status."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    _configure_logging(verbose=options.verbose)
    _print_any_name()
    try:
        with _terminable():
            return int(options.run(options))
    except (SocialPerceptionError, ModuleNotFoundError) as raised:
        error = missing_package(raised) if isinstance(raised, ModuleNotFoundError) else raised
        if options.verbose:
            logging.getLogger(__name__).exception("the command failed")
        print(f"{PROGRAM}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) is gone; Python must not fail when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="How much each person in an image smiles, and how the group feels."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log more, with the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2]
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary)
        # The flag before the sub-command must not be overwritten by the default of the one after it.
        command.add_argument(
            "--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


def _print_any_name() -> None:
    """Let names of files that are not valid Unicode be printed, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class _Handler(logging.Handler):
    """One line on stderr per record; progress bars are redrawn below it."""

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{PROGRAM}: {record.levelname.lower()}: {self.format(record)}"
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)


def _configure_logging(*, verbose: bool) -> None:
    logger = logging.getLogger("social_perception")
    for handler in [each for each in logger.handlers if isinstance(each, _Handler)]:
        logger.removeHandler(handler)
    logger.addHandler(_Handler())
    logger.setLevel(logging.INFO if verbose else logging.WARNING)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the command like Ctrl-C, so that files are completed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
