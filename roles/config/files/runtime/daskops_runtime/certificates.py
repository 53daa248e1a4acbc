# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reload certificates while a server runs, on ``systemctl reload`` (SIGHUP).

Open connections stay. New connections use the new certificate, and peers are verified against the new CA certificates.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import signal
import ssl
from collections.abc import Callable
from typing import Any

import dask
from distributed import Nanny, Scheduler, Worker
from distributed.core import Server

logger = logging.getLogger("distributed.daskops.certificates")

#: First line of the certificate file, which has the expiry in seconds since the epoch.
EXPIRES = re.compile(r"expires (\d+)\n")

#: Metric that a worker sends with each heartbeat. It is a mapping with `EXPIRES_KEY`, because the dashboard would show a
#: number as a column with a total.
KEY = "daskops_certificate"
EXPIRES_KEY = "expires"
#: Metric of workers of an older release, which is the expiry itself.
OLD_KEY = "daskops_certificate_expires"

#: Seconds that a worker waits for the scheduler's answer before it reports its new certificates anyway. A run waits longer.
ANSWER_TIMEOUT = 10

_loaded: dict[Server, Loaded] = {}


class Loaded:
    """The certificates that a server has loaded."""

    def __init__(self, server: Scheduler | Worker | Nanny, tell: Callable[[Server], None]):
        self.server = server
        self.tell = tell
        self.role = "scheduler" if isinstance(server, Scheduler) else "worker"
        self.digest = ""  # as reported
        self.loaded = ""
        self.expires: int | None = None
        self.reporting: asyncio.Task[None] | None = None
        self.load()
        self.digest = self.loaded

    def load(self) -> None:
        """Load the files and use them for new connections.

        Raises OSError if a file cannot be used. The server then keeps its present certificates.
        """
        security = self.server.security
        files = security.get_tls_config_for_role(self.role)
        paths = [files["ca_file"], files["cert"]]
        texts = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
        calling = security.get_connection_args(self.role)["ssl_context"]
        called = security.get_listen_args(self.role)["ssl_context"]
        asked = get_http_context()

        self.server.connection_args["ssl_context"] = calling
        listeners: list[Any] = self.server.listeners  # Dask does not annotate `tcp_server`
        for listener in listeners:
            listener.tcp_server.ssl_options = called
        if asked and getattr(self.server, "http_server", None):
            self.server.http_server.ssl_options = asked
        # The texts were read before the contexts. If a file changed in between, the old digest causes another reload.
        self.loaded = hashlib.sha256("".join(texts).encode()).hexdigest()[:12]
        expires = EXPIRES.match(texts[1])
        self.expires = int(expires[1]) if expires else None

    def reload(self) -> None:
        process = self.server.process if isinstance(self.server, Nanny) else None
        if process and process.pid:
            os.kill(process.pid, signal.SIGHUP)
        try:
            self.load()
        except OSError as e:  # includes ssl.SSLError
            logger.error("The certificates could not be reloaded, so the server keeps its present ones: %s", e)
        else:
            logger.info("The certificates were reloaded")
            self.reporting = asyncio.create_task(self.report(self.loaded))

    async def report(self, loaded: str) -> None:
        """Report the certificates after the scheduler knows their expiry, because a run then asks for it at once."""
        if isinstance(self.server, Worker) and self.server.periodic_callbacks["heartbeat"].is_running():
            await asyncio.wait([asyncio.create_task(self.server.heartbeat())], timeout=ANSWER_TIMEOUT)
        if loaded == self.loaded:  # no other reload since
            self.digest = loaded
            self.tell(self.server)


def get_http_context() -> ssl.SSLContext | None:
    """Return a TLS context for Dask's HTTP server, created like in Dask; None without TLS."""
    cert = dask.config.get("distributed.scheduler.dashboard.tls.cert")
    if not cert:
        return None
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=dask.config.get("distributed.scheduler.dashboard.tls.ca-file")
    )
    context.load_cert_chain(cert, dask.config.get("distributed.scheduler.dashboard.tls.key"))
    return context


def start(server: Scheduler | Worker | Nanny, tell: Callable[[Server], None]) -> None:
    """Reload the certificates on SIGHUP, if this server has any, and call ``tell`` after each reload."""
    if server.connection_args.get("ssl_context"):
        _loaded[server] = Loaded(server, tell)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _loaded[server].reload)


def get_digest(server: Server) -> str | None:
    """Return the digest of the certificates that the server reports; None if it has none."""
    return _loaded[server].digest if server in _loaded else None


def get_expiry(server: Server) -> int | None:
    """Return the expiry of the server's certificate in seconds since the epoch; None if it is unknown."""
    return _loaded[server].expires if server in _loaded else None


def describe(server: Server) -> dict[str, int | None]:
    """Return the metric `KEY` of a worker."""
    return {EXPIRES_KEY: get_expiry(server)}


def read_expiry(metrics: dict[str, Any]) -> int | None:
    """Return the expiry in a worker's metrics in seconds since the epoch; None if there is none."""
    told = metrics.get(KEY)
    expires = told.get(EXPIRES_KEY) if isinstance(told, dict) else metrics.get(OLD_KEY)
    return expires if isinstance(expires, int) else None


def stop(server: Server) -> None:
    _loaded.pop(server, None)  # keep the handler, because SIGHUP would otherwise kill a process that is closing
