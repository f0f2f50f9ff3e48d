"""What all scripts share: a log, and one line instead of a traceback for a user's mistake."""

import argparse
import errno
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from dmlbench.errors import SYSTEM_ERRORS, Unfinished, UserError
from dmlbench.workflow.copies import SIGNALS, Copies, heard
from dmlbench.workflow.job_records import noted

log = logging.getLogger("dmlbench")

EXIT_USER_ERROR = 2
#: sysexits.h calls it EX_TEMPFAIL: try again.
EXIT_UNFINISHED = 75
_BUG = (
    "unexpected error; if the last lines below are in a class of your own, fix it there, otherwise "
    "please report this bug"
)


def parser(description: str, **more: Any) -> argparse.ArgumentParser:
    """A parser with what every script takes; ``more`` goes to argparse."""
    defaults = argparse.ArgumentDefaultsHelpFormatter
    made = argparse.ArgumentParser(description=description, formatter_class=defaults, **more)
    made.add_argument("--log", type=Path, help="write the log here instead of to the terminal")
    return made


def config_parser(description: str, **more: Any) -> argparse.ArgumentParser:
    """A parser for scripts that work on a whole config."""
    made = parser(description, **more)
    made.add_argument("--config", type=Path, required=True, help="config file")
    return made


def run_parser(description: str, **more: Any) -> argparse.ArgumentParser:
    """A parser for scripts that work on one run of a config."""
    made = config_parser(description, **more)
    made.add_argument("--run", required=True, help="dataset/recipe/loss/sampler/seedN")
    return made


def runs_parser(description: str, **more: Any) -> argparse.ArgumentParser:
    """The same for one run or several, of which ``run`` is a list."""
    made = config_parser(description, **more)
    what = "dataset/recipe/loss/sampler/seedN; several are done one after the other"
    made.add_argument("--run", required=True, nargs="+", help=what)
    return made


class Steps:
    """A script of several small steps: ``report.py tables --config …``, each with ``--help``."""

    def __init__(self, description: str) -> None:
        self._parser = argparse.ArgumentParser(description=description)
        self._steps = self._parser.add_subparsers(required=True, metavar="STEP")

    def add(
        self,
        main: Callable[[argparse.Namespace], None],
        make: Callable[..., argparse.ArgumentParser] = config_parser,
    ) -> argparse.ArgumentParser:
        """Add the step that ``main`` does, under its name and with its docstring as help."""
        text = " ".join(main.__doc__.split())
        made = [make(text, add_help=False)]
        step = self._steps.add_parser(main.__name__, parents=made, help=text, description=text)
        step.set_defaults(main=main)
        return step

    def run(self) -> None:
        """Do the step that the command line names, as :func:`run` does."""
        run(lambda options: options.main(options), self._parser)


def run(
    main: Callable[[argparse.Namespace], None],
    arguments: argparse.ArgumentParser,
    log_mode: Literal["w", "a"] = "w",
) -> None:
    """Parse the command line and call ``main``; leave with 2 and one line on a user's mistake.

    Work that says it is unfinished leaves with 75; ``log_mode`` ``a`` goes on with its log.
    """
    do(main, arguments.parse_args(), log_mode)


def do_alone(
    main: Callable[[argparse.Namespace], None],
    options: argparse.Namespace,
    run: str,
    log_mode: Literal["w", "a"],
    **other: Any,
) -> None:
    """Be the process that was called for one of ``options.run``, and with these ``other`` options.

    For copies of a process that was called for all of them.
    """
    rest = set(options.run) - {run}
    sys.argv[:] = [word for word in sys.argv if word not in rest]
    do(main, argparse.Namespace(**vars(options) | {"run": [run]} | other), log_mode)


def do_each_alone(
    main: Callable[[argparse.Namespace], None], options: argparse.Namespace, copies: Copies
) -> None:
    """Do ``main`` for each of ``options.run`` in a copy of this process; see :class:`Copies`."""
    for run in dict.fromkeys(options.run):
        copies.run(run, lambda log, run=run: do_alone(main, options, run, "w", log=log))
    copies.end(EXIT_UNFINISHED)


def do(
    main: Callable[[argparse.Namespace], None],
    options: argparse.Namespace,
    log_mode: Literal["w", "a"] = "w",
) -> None:
    """What :func:`run` does with the command line parsed."""
    _start_log(options.log, log_mode)
    log.info("%s", shlex.join(sys.argv))
    # A scheduler that ends a job asks this way, or a terminal that is closed: clean up as after
    # Ctrl-C.
    for number in {signal.SIGTERM, signal.SIGHUP} & {*heard()}:
        signal.signal(number, signal.default_int_handler)
    started = time.monotonic()
    try:
        with noted(options.log):
            main(options)
        log.info("done in %.1f s", time.monotonic() - started)
    except UserError as error:
        for line in str(error).splitlines():
            log.error("error: %s", line)
        sys.exit(EXIT_USER_ERROR)
    except Unfinished as reason:
        # Everything is saved. Schedulers ask more than once, and the code must come through.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        log.error("unfinished: %s", reason)
        sys.exit(EXIT_UNFINISHED)
    except KeyboardInterrupt:
        log.error("interrupted; nothing half-written counts as finished")
        sys.exit(130)
    except Exception as error:
        if line := _known(error):
            log.error("error: %s", line)
            sys.exit(EXIT_USER_ERROR)
        log.exception("%s", _BUG)
        sys.exit(1)


def _known(error: Exception) -> str:
    """What to say of an error that the machine is to blame for; empty for others."""
    # A library that does not fit is an ImportError.
    unmapped = isinstance(error, ImportError) and "failed to map segment" in str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or unmapped:
        reason = f" ({error})" if str(error) else ""
        return f"out of memory{reason}; ask for more under resources, or take a larger machine"
    # Python has no error of its own for a thread that cannot be started.
    if getattr(error, "errno", None) == errno.EAGAIN or str(error) == "can't start new thread":
        todo = "raise the limits on processes and memory (ulimit -u, ulimit -v), or end others"
        return f"no process or thread can be started ({error}); {todo}"
    if not isinstance(error, OSError):
        return ""
    # pyarrow gives no number with it, and names the file only in the text.
    number = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno
    if number not in SYSTEM_ERRORS:
        return ""
    what = error.filename or (error.args[0] if error.errno is None else "a file")
    return f"{what}: {os.strerror(number)}; {SYSTEM_ERRORS[number]}"


class _LogFile(logging.FileHandler):
    """A log whose disk may be full or away: said once, on the terminal, and the work goes on."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            print(f"{self.baseFilename}: {sys.exc_info()[1]}; lines are lost", file=sys.stderr)


def _start_log(file: Path | None, mode: str) -> None:
    """Log to ``file``, and to the terminal; there only what must be seen, if there is a file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Errors, and what long work says first, with ``extra={"tell": True}``.
        handlers[0].addFilter(lambda r: r.levelno >= logging.ERROR or getattr(r, "tell", False))
        handlers.append(_LogFile(file, mode=mode, encoding="utf-8"))
    # Libraries only warn: fontTools alone would fill the log.
    log.setLevel(logging.INFO)
    line = {"format": "%(asctime)s %(message)s", "datefmt": "%H:%M:%S"}
    logging.basicConfig(level=logging.WARNING, handlers=handlers, **line)
