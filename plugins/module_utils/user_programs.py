# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs, also as an unprivileged user of the host, with limits for time and output."""

from __future__ import annotations

import contextlib
import os
import re
import select
import selectors
import signal
import subprocess
import time
from typing import IO, Any, Callable, Mapping, NamedTuple, Sequence

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable

#: Seconds that a program may run.
TIMEOUT = 60

#: Bytes that are kept of a program's output and of its errors.
LIMIT = 16 * 1024**2

#: Exit status of ``setup.sh`` if a line fails, and its message, which comes after the output of the lines.
SETUP_FAILED = 78
SETUP_MESSAGE = re.compile(r"^dask_environment_setup: (line \d+ \(.*\) .*)$", re.MULTILINE)


class Finished(NamedTuple):
    """A program that has ended."""

    status: int
    output: str
    errors: str


def start(command: Sequence[str], timeout: float, **how: Any) -> subprocess.Popen[bytes]:
    """Start a program as another user, whose processes could stop the new process before the program runs.

    Raises
    ------
    subprocess.TimeoutExpired
        If the program is not running after ``timeout`` seconds.
    """

    def give_up(*_dummy: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        # run_command of Ansible has no limit for the output.
        return subprocess.Popen(command, **how)  # pylint: disable=ansible-bad-function
    except subprocess.TimeoutExpired:
        child = os.waitpid(-1, os.WUNTRACED | os.WNOHANG)[0]
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(
    command: Sequence[str],
    enter: Callable[[], None],
    variables: Mapping[str, str],
    question: str = "",
    timeout: float = TIMEOUT,
) -> Finished:
    """Run a program, end all processes that it has started, and return its exit status and output.

    A program can print without end, so only the first `LIMIT` bytes of its output and the last ones of its errors are kept.

    Parameters
    ----------
    command : list of str
        The program and its arguments.
    enter : callable
        Changes the user. Called in the new process before the program starts. Its working directory is ``/``.
    variables : dict of str
        Environment variables of the program.
    question : str
        Input of the program.
    timeout : float
        Seconds that the program may run.

    Raises
    ------
    OSError
        If the program cannot be started.
    subprocess.TimeoutExpired
        If the program does not end within ``timeout`` seconds.
    """
    process = start(
        command,
        timeout,
        env=variables,
        cwd="/",
        preexec_fn=enter,  # the argument user= needs Python 3.9
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        output, errors = _exchange(process, question.encode(), timeout)
    finally:
        _end(process)
    texts = [text.decode(errors="replace").replace("\r\n", "\n") for text in (output, errors)]
    return Finished(process.returncode, *texts)


def first_output(command: Sequence[str], timeout: float, limit: int) -> tuple[int | None, str]:
    """Run a program as this process's user, and return its exit status and the start of its output and errors.

    Parameters
    ----------
    command : list of str
        The program and its arguments.
    timeout : float
        Seconds that the program may run.
    limit : int
        Bytes of output, after which the program is ended.

    Returns
    -------
    tuple
        The exit status, or None if the program has not ended by itself, and the output until then.

    Raises
    ------
    OSError
        If the program cannot be started.
    """
    deadline, output = time.monotonic() + timeout, bytearray()
    # run_command of Ansible has no limits.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while process.stdout and len(output) < limit:
            if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
                break
            output += piece
        status = process.poll()
    finally:
        _end(process)
    return status, output[:limit].decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and the processes that it has started, and wait for its end for at most a second.

    A program that waits for a dead file server or for a broken driver does not end. It is abandoned.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def _exchange(process: subprocess.Popen[bytes], question: bytes, timeout: float) -> tuple[bytes, bytes]:
    """Write a question to a program, and return its output and errors when it has ended; see `run`."""
    if not (process.stdin and process.stdout and process.stderr):
        raise ValueError("a program needs pipes for its question, its output and its errors")
    deadline = time.monotonic() + timeout
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        os.set_blocking(process.stdin.fileno(), False)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, timeout)
            for key, dummy in ready:
                if key.data is None:
                    question = _write(process.stdin, question)
                    ended = not question
                else:
                    piece = os.read(key.fd, 65536)
                    keep(key.data, piece, first=key.data is output)
                    ended = not piece
                if ended:
                    selector.unregister(key.fileobj)
                    if key.data is None:
                        process.stdin.close()
    process.wait(max(0.0, deadline - time.monotonic()))
    return bytes(output), bytes(errors)


def _write(stream: IO[bytes], question: bytes) -> bytes:
    """Write a part of a question, and return the rest; empty if the program does not read it."""
    try:
        return question[os.write(stream.fileno(), question[:65536]) :]
    except BrokenPipeError:
        return b""


def keep(kept: bytearray, piece: bytes, first: bool) -> None:
    """Add a piece of output to what is kept: the ``first`` `LIMIT` bytes, or the last ones."""
    kept += piece
    if first:
        del kept[LIMIT:]
    elif len(kept) > 2 * LIMIT or not piece:  # not for each piece, because this moves the rest
        del kept[:-LIMIT]


def with_setup(command: Sequence[str], script: str, lines: str) -> list[str]:
    """Return a command that runs the lines of ``dask_environment_setup`` and then a program, like ``run.sh`` for services.

    Parameters
    ----------
    command : list of str
        The program and its arguments.
    script, lines : str
        Paths of the files ``setup.sh`` and ``setup.lines`` of a release.
    """
    return ["/bin/bash", "--noprofile", "--norc", script, "required", lines, *command]


def setup_problem(finished: Finished) -> str:
    """Return a sentence about the line of ``dask_environment_setup`` that failed; empty if none did."""
    messages = list(SETUP_MESSAGE.finditer(finished.errors))
    if finished.status != SETUP_FAILED or not messages:
        return ""
    message = messages[-1]
    said = printable(finished.errors[: message.start()].strip())
    output = f"Its output: {said}" if said else "It printed nothing."
    failed = printable(message.group(1))
    return f"dask_environment_setup: {failed}. Correct the line, or install what it needs on this host. {output}"
