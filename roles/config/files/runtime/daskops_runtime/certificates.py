# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that change while a server runs: ``systemctl reload`` (SIGHUP) has them read again.

Connections that are open stay; whoever connects from then on is met with the new ones, and trusts those of whom the new
authorities say so.
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

#: The certificate's file begins with this line, and the number of seconds since the epoch.
EXPIRES = re.compile(r"expires (\d+)\n")

#: What a worker tells of its certificate with each heartbeat, among its metrics: a mapping with `EXPIRES_KEY`. A metric that
#: is a number becomes a column with a total on the dashboard's page of the workers.
KEY = "daskops_certificate"
EXPIRES_KEY = "expires"
#: What a worker of an older release tells: the number alone.
OLD_KEY = "daskops_certificate_expires"

_loaded: dict[Server, Loaded] = {}


class Loaded:
    """What a server has loaded"""

    def __init__(self, server: Scheduler | Worker | Nanny, tell: Callable[[Server], None]):
        self.server = server
        self.tell = tell
        self.role = "scheduler" if isinstance(server, Scheduler) else "worker"
        self.digest = ""
        self.expires: int | None = None
        self.load()

    def load(self) -> None:
        """Read the files and use them from here on; raises OSError, and changes nothing, if that does not work"""
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
        # Taken first: if the files were changed between, this is what makes others ask for one more reload.
        self.digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:12]
        expires = EXPIRES.match(texts[1])
        self.expires = int(expires[1]) if expires else None

    def reload(self) -> None:
        process = self.server.process if isinstance(self.server, Nanny) else None
        if process and process.pid:
            os.kill(process.pid, signal.SIGHUP)
        try:
            self.load()
        except OSError as e:  # an ssl.SSLError is one
            logger.error("The certificates stay as they were: %s", e)
        else:
            logger.info("The certificates were read again")
            self.tell(self.server)


def get_http_context() -> ssl.SSLContext | None:
    """What Dask makes of the settings for its HTTP server; None where that speaks no TLS"""
    cert = dask.config.get("distributed.scheduler.dashboard.tls.cert")
    if not cert:
        return None
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=dask.config.get("distributed.scheduler.dashboard.tls.ca-file")
    )
    context.load_cert_chain(cert, dask.config.get("distributed.scheduler.dashboard.tls.key"))
    return context


def start(server: Scheduler | Worker | Nanny, tell: Callable[[Server], None]) -> None:
    """Be ready to read the certificates again, if this server has any, and call ``tell`` when that was done"""
    if server.connection_args.get("ssl_context"):
        _loaded[server] = Loaded(server, tell)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _loaded[server].reload)


def get_digest(server: Server) -> str | None:
    """Name of what the server has loaded"""
    return _loaded[server].digest if server in _loaded else None


def get_expiry(server: Server) -> int | None:
    """When the server's certificate expires, in seconds since the epoch; None where it has none, or does not know"""
    return _loaded[server].expires if server in _loaded else None


def describe(server: Server) -> dict[str, int | None]:
    """What a worker tells of its certificate"""
    return {EXPIRES_KEY: get_expiry(server)}


def read_expiry(metrics: dict[str, Any]) -> int | None:
    """When a worker's certificate expires, by its metrics; None where they do not say so"""
    told = metrics.get(KEY)
    expires = told.get(EXPIRES_KEY) if isinstance(told, dict) else metrics.get(OLD_KEY)
    return expires if isinstance(expires, int) else None


def stop(server: Server) -> None:
    _loaded.pop(server, None)  # the signal stays caught: it must not end a process that is about to end in order
