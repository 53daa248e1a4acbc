# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy for the pages of the cluster's workers. The route ``proxy/PORT/HOST/PAGE`` of the scheduler's HTTP server.

With it, browsers need to connect only to the scheduler's host. The list of workers in Dask's dashboard links to this route,
which Dask itself provides only with ``jupyter-server-proxy``. The proxy accepts only GET, and only for registered workers.
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

#: Seconds to wait for a worker. Its first page loads Bokeh, which took 10 s on a busy host.
TIMEOUT = 20.0
#: Headers of a response that are forwarded.
HEADERS = ("Content-Type", "Cache-Control", "Etag", "Location")


def find_page(scheduler: Scheduler, port: str, host: str, page: str, query: str, scheme: str) -> HTTPRequest:
    """Return the request for a page of a worker; raises HTTPError if the worker is not registered."""
    if not any(ws.host == host and str(ws.services.get("dashboard")) == port for ws in scheduler.workers.values()):
        raise web.HTTPError(404, reason="No worker of this cluster has this address")
    context = None
    if scheduler.address.startswith("tls"):
        # Do not check the host name, because hosts may share a user's own worker certificate. The CA's signature is enough.
        context = ssl.create_default_context(cafile=scheduler.security.get_tls_config_for_role("scheduler")["ca_file"])
        context.check_hostname = False
        scheme += "s"
    address = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{address}:{port}/{quote(page)}{f'?{query}' if query else ''}"
    return HTTPRequest(url, ssl_options=context, request_timeout=TIMEOUT, follow_redirects=False)


def no_answer(error: Exception) -> web.HTTPError:
    """Return the HTTP error for a worker that does not answer."""
    if isinstance(error, HTTPTimeoutError):
        return web.HTTPError(504, reason="The worker did not answer in time")
    return web.HTTPError(502, reason=f"The worker did not answer: {type(error).__name__}")


class Page(WebSocketHandler, RequestHandler):
    """A handler that forwards a worker's pages and websockets."""

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
                if self.ws_connection is None:  # the browser's handshake failed
                    self.worker.close()
            return
        request = find_page(self.server, port, host, page, self.request.query, "http")
        # Use a separate client, so that other requests do not wait for a hanging worker.
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
        return True  # like Dask's own pages, which are read-only

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self.worker.selected_subprotocol if self.worker else None

    def open(self, *args: Any) -> None:
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        """Forward the worker's messages until it closes the connection."""
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
