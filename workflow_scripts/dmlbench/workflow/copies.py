"""Several runs in one job: each in a copy (fork) of a process that has only imported what all need.

A copy has nothing of another run: its own random streams, memory, log, signals and end. So it makes
what a process of its own would, and a crash takes none along. The process that is copied must have
used no GPU and no threads of OpenMP.
"""

import logging
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

from dmlbench import paths
from dmlbench.errors import Unfinished, UserError
from dmlbench.workflow.job_records import read_state

#: What asks a process to leave.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


class Copies:
    """One step of several runs, and what became of each."""

    def __init__(self, results: Path, step: str) -> None:
        """``results`` is the folder of the config's results; the logs of the step lie in it."""
        self._results, self._step = results, step
        self._codes: dict[str, int] = {}

    def run(
        self,
        run_id: str,
        work: Callable[[Path], None],
        asked: Callable[[], object] = lambda: None,
    ) -> int:
        """Do ``work``, which is given the log of the run, in a copy; return its exit code.

        The copy is asked to leave when this process is, which ``asked`` says.
        """
        code = run_copy(lambda: work(self._log(run_id)), asked)
        self._codes[run_id] = code
        return code

    def end(self, unfinished: int) -> None:
        """Say what became of the runs that did not end well.

        Raises:
            UserError: Some failed; names them, why, and their logs.
            Unfinished: Some left with the exit code ``unfinished``.
        """
        failed = [run for run, code in self._codes.items() if code not in (0, unfinished)]
        if failed:
            told = map(self._failure, failed)
            lines = [f"{len(failed)} of {len(self._codes)} runs failed here", *told]
            raise UserError("\n".join(lines))
        if left := [run for run, code in self._codes.items() if code == unfinished]:
            raise Unfinished(f"{', '.join(left)}; what was done is saved, run again to go on")

    def _log(self, run_id: str) -> Path:
        return paths.log_in(self._results, self._step, run_id)

    def _failure(self, run_id: str) -> str:
        code, log = self._codes[run_id], self._log(run_id)
        if code < 0:
            why = f"killed by {signal.Signals(-code).name}"
        else:
            state = read_state(log)
            why = state.reason if state else f"exit code {code}"
        return f"{run_id}: {why}; log: {log}"


def run_copy(work: Callable[[], None], asked: Callable[[], object] = lambda: None) -> int:
    """Do ``work`` in a copy of this process, and return its exit code, -N where signal N ended it.

    The copy gets a SIGTERM when ``asked`` says so. It begins with SIGNALS blocked, so that none is
    lost before it listens: see :func:`hear_signals`.
    """
    copy = multiprocessing.get_context("fork").Process(target=_begin, args=(work,))
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        copy.start()
    finally:
        hear_signals()
    told = False
    try:
        while copy.exitcode is None:
            copy.join(0.5)
            if asked() and not told:
                told = True
                copy.terminate()
    except BaseException:
        copy.terminate()
        copy.join()
        raise
    return copy.exitcode


def heard() -> list[signal.Signals]:
    """The signals to listen to: nohup has a process ignore that its terminal was closed."""
    nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [number for number in SIGNALS if not (nohup and number == signal.SIGHUP)]


def hear_signals() -> None:
    """Unblock what a copy begins with blocked: from now on they are heard."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _begin(work: Callable[[], None]) -> None:
    # Those of the log of the process that this is a copy of.
    logging.getLogger().handlers.clear()
    work()
