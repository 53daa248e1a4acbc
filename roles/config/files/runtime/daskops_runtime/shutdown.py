# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shut down a scheduler or a worker over HTTP with a token, by the route ``POST daskops/shutdown``.

The route is for orchestrators that remove machines without stopping units, such as those of spot instances. A worker drains
like on a stop of its unit, and a scheduler closes. systemd does not start them again. The answer comes immediately. To wait
for the shutdown, poll the URL until the connection is refused.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hmac
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from distributed import Worker
from distributed.core import Server
from distributed.http.utils import RequestHandler

from daskops_runtime import control, drain, stop

logger = logging.getLogger("distributed.daskops.shutdown")

#: Exit status that prevents systemd from restarting a service (RestartPreventExitStatus=).
STAY_DOWN = 75
#: File in the unit's runtime directory that passes the request from a worker to its nanny.
MARK = "stay-down"

_token = ""
_closing: set[asyncio.Task] = set()


def start(directory: str | None) -> None:
    """Remove the token from the environment, so that no child process inherits it.

    Also remove an old mark of a worker that died during its shutdown and that the nanny has replaced.
    """
    global _token
    _token = os.environ.pop("DASKOPS_SHUTDOWN_TOKEN", "") or _token
    if directory:
        with contextlib.suppress(OSError):  # tasks can write to the directory, for example a directory of this name
            Path(directory, MARK).unlink()


def exit_with_status() -> None:
    """Run the remaining exit functions, and exit with `STAY_DOWN`. Dask's command line cannot set the exit status."""
    atexit.unregister(exit_with_status)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STAY_DOWN)


def stay_down_if_marked(directory: str | None) -> None:
    """Make this process exit with `STAY_DOWN`, if a shutdown was requested."""
    if directory and Path(directory, MARK).exists():
        atexit.register(exit_with_status)


class Shutdown(RequestHandler):
    def post(self) -> None:
        scheme, dummy, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not _token or not hmac.compare_digest(token.encode(), _token.encode()):
            self.set_header("WWW-Authenticate", "Bearer")
            self.answer(401, "send the token: Authorization: Bearer TOKEN")
            return
        if isinstance(self.server, Worker):
            problem = drain.begin(self.server, stop.get_timeout())
            if problem:
                self.answer(409, problem)
                return
        else:
            closing = asyncio.create_task(close(self.server))
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)
        logger.warning("Shutting down, as requested by %s", self.request.remote_ip)
        drain.exit_status = STAY_DOWN
        directory = control.get_directory(self.server)
        if directory:
            Path(directory, MARK).touch()
        self.answer(202, "draining" if isinstance(self.server, Worker) else "closing")

    def answer(self, status: int, said: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.write(json.dumps({"status": said}))


async def close(scheduler: Server) -> None:
    await asyncio.sleep(0.1)  # until the answer is sent
    await scheduler.close(reason="daskops-shutdown")


routes: list[tuple[str, Callable, dict]] = [(r"daskops/shutdown", Shutdown, {})]
