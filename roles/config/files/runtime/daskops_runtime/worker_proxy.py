# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the cluster's own workers, seen through the scheduler: a route of its HTTP server.

Who may open the scheduler's pages need not reach every worker's host. Dask's own proxy does the same where
``jupyter-server-proxy`` is installed, and takes the same address, which the list of workers links to:
``proxy/PORT/HOST/PAGE``. This one only reads, and only from workers that are registered.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from distributed import Scheduler
from distributed.http.utils import RequestHandler
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketHandler, websocket_connect

#: Seconds that a worker may take to answer. It loads Bokeh for its first page, which took 10 s on a busy host.
TIMEOUT = 20.0
#: Headers of an answer that are handed on.
HEADERS = ("Content-Type", "Cache-Control", "Etag", "Location")


def find_page(scheduler: Scheduler, port: str, host: str, page: str, query: str, scheme: str) -> HTTPRequest:
    """The request for a page of a worker; raises HTTPError where there is no such worker"""
    if not any(ws.host == host and str(ws.services.get("dashboard")) == port for ws in scheduler.workers.values()):
        raise web.HTTPError(404, reason="No worker of this cluster has such an address")
    context = None
    if scheduler.address.startswith("tls"):
        # Workers share a certificate, which has no host's name in it; that the cluster's authority signed it is enough.
        context = ssl.create_default_context(cafile=scheduler.security.get_tls_config_for_role("scheduler")["ca_file"])
        context.check_hostname = False
        scheme += "s"
    address = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{address}:{port}/{quote(page)}{f'?{query}' if query else ''}"
    return HTTPRequest(url, ssl_options=context, request_timeout=TIMEOUT, follow_redirects=False)


def no_answer(error: Exception) -> web.HTTPError:
    """What to say where a worker does not answer"""
    if isinstance(error, HTTPTimeoutError):
        return web.HTTPError(504, reason="The worker did not answer in time")
    return web.HTTPError(502, reason=f"The worker gave no answer: {type(error).__name__}")


class Page(WebSocketHandler, RequestHandler):
    """Hands on what a worker answers, be it a page or a websocket"""

    worker: WebSocketClientConnection | None = None
    reading: asyncio.Task | None = None

    async def get(self, port: str, host: str, page: str) -> None:
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            request = find_page(self.server, port, host, page, self.request.query, "ws")
            protocols = [word.strip() for word in self.request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
            try:
                self.worker = await websocket_connect(request, subprotocols=[word for word in protocols if word])
            except (OSError, HTTPClientError) as e:
                raise no_answer(e) from e
            try:
                await super().get()
            finally:
                if self.ws_connection is None:  # what was asked for was no proper websocket
                    self.worker.close()
            return
        request = find_page(self.server, port, host, page, self.request.query, "http")
        # One of its own: others are not to wait for a worker that hangs.
        client = AsyncHTTPClient(force_instance=True)
        try:
            answer = await client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as e:
            raise no_answer(e) from e
        finally:
            client.close()
        self.set_status(answer.code, answer.reason)
        for name in HEADERS:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        await self.finish(answer.body if answer.code != 304 else None)

    # The websocket

    def check_origin(self, origin: str) -> bool:
        return True  # as Dask's own pages; they only show something

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self.worker.selected_subprotocol if self.worker else None

    def open(self, *args: Any) -> None:
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        """Hand on what the worker says until it hangs up"""
        assert self.worker
        with contextlib.suppress(WebSocketClosedError, OSError):
            while (message := await self.worker.read_message()) is not None:
                await self.write_message(message, binary=isinstance(message, bytes))
        self.close(self.worker.close_code, self.worker.close_reason)

    async def on_message(self, message: str | bytes) -> None:
        if self.worker:
            with contextlib.suppress(WebSocketClosedError):
                await self.worker.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        if self.worker:
            self.worker.close()


routes: list[tuple[str, Callable, dict]] = [(r"proxy/(\d+)/([^/]+)/(.*)", Page, {})]
