# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graceful end for whoever asks over HTTP with the token: a route of schedulers and workers.

For orchestrators that take machines away without systemd's help, such as those of spot instances: ``POST daskops/shutdown``
has a worker drain as its unit's stop would, or a scheduler close in order, and systemd not start it again. It is answered
at once; who wants to know the end waits until nobody answers any more.
"""

from __future__ import annotations

import asyncio
import atexit
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

#: Exit status after which units do not start a service again.
STAY_DOWN = 75
#: File in the unit's runtime directory by which a worker tells its nanny.
MARK = "stay-down"

_token = ""
_closing: set[asyncio.Task] = set()


def start(directory: str | None) -> None:
    """Take the token out of the environment, so that no child process inherits it

    A worker that a nanny has put in the place of one that was asked to go and died on the way is not meant any more.
    """
    global _token
    _token = os.environ.pop("DASKOPS_SHUTDOWN_TOKEN", "") or _token
    if directory:
        Path(directory, MARK).unlink(missing_ok=True)


def exit_with_status() -> None:
    """End with the status, after everything else that is to be done at the end: it cannot be set otherwise"""
    atexit.unregister(exit_with_status)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STAY_DOWN)


def stay_down_if_marked(directory: str | None) -> None:
    """Have this process end with the status that keeps systemd from starting it again, if it was asked to"""
    if directory and Path(directory, MARK).exists():
        atexit.register(exit_with_status)


class Shutdown(RequestHandler):
    def post(self) -> None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not _token or not hmac.compare_digest(token.encode(), _token.encode()):
            self.set_header("WWW-Authenticate", "Bearer")
            self.answer(401, "this asks for the token: Authorization: Bearer TOKEN")
            return
        if isinstance(self.server, Worker):
            refusal = drain.begin(self.server, stop.get_timeout())
            if refusal:
                self.answer(409, refusal)
                return
        else:
            closing = asyncio.create_task(close(self.server))
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)
        logger.warning("Shutting down, as %s has asked for", self.request.remote_ip)
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
    await asyncio.sleep(0.1)  # for the answer to leave
    await scheduler.close(reason="daskops-shutdown")


routes: list[tuple[str, Callable, dict]] = [(r"daskops/shutdown", Shutdown, {})]
