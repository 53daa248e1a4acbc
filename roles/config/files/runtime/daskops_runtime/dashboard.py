# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a service's dashboard, which are loaded when somebody looks at one.

They are a third of what it costs to start a worker, in time and in memory, and half of what a scheduler takes to start. Few
look at a worker's, and nobody at a scheduler's in the first seconds, when all workers wait for it. Services are started with
``--no-dashboard``; their other routes, metrics and health among them, are there from the start.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import Any

from distributed import Scheduler, Worker
from distributed.http.utils import get_handlers
from tornado import web
from tornado.httputil import HTTPServerRequest

logger = logging.getLogger("distributed.daskops.dashboard")


#: The route that lists the pages, for example for JupyterLab.
LIST = "/individual-plots.json"


class Waiting(web._HandlerDelegate):
    """A request that no other route answers; its answer waits for the pages"""

    application: Pages

    def finish(self) -> None:
        self.application.answer(self)


class Pages(web.Application):
    """Stands where the pages will be, until the first request for one"""

    def __init__(self, server: Scheduler | Worker):
        super().__init__()
        self.server = server
        self.find = server.http_application.find_handler
        self.loading: asyncio.Task | None = None
        self.answers: set[asyncio.Task] = set()

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> web._HandlerDelegate:
        return Waiting(self, request, web.RequestHandler, {}, [], {})

    def find_handler_of_any(self, request: HTTPServerRequest, **kwargs: Any) -> web._HandlerDelegate:
        """Stands for the same method of the application that all routes belong to"""
        return self.find_handler(request) if request.path.endswith(LIST) else self.find(request, **kwargs)

    def answer(self, waiting: Waiting) -> None:
        """Have a request answered by the pages, once they are there"""
        if self.loading is None:
            self.loading = asyncio.create_task(self.load())
        answer = asyncio.create_task(self.hand_over(waiting, self.loading))
        self.answers.add(answer)
        answer.add_done_callback(self.answers.discard)

    async def hand_over(self, waiting: Waiting, loading: asyncio.Task) -> None:
        await asyncio.wait({loading})
        if waiting.chunks is not None:  # None where the client has gone
            handler = self.find(waiting.request)
            handler.chunks = waiting.chunks
            handler.finish()

    async def load(self) -> None:
        kind = "scheduler" if isinstance(self.server, Scheduler) else "worker"
        application = self.server.http_application
        prefix = getattr(self.server, "_http_prefix", "")  # a scheduler of the collection has none
        try:
            # It takes a second, in which the event loop goes on.
            pages = await asyncio.to_thread(importlib.import_module, f"distributed.dashboard.{kind}")
            pages.connect(application, self.server.http_server, self.server, prefix=prefix)
        except ImportError:
            logger.info("No dashboard: bokeh is not installed")
            if kind == "scheduler":  # this says so to whoever looks
                routes = get_handlers(self.server, ["distributed.http.scheduler.missing_bokeh"], prefix=prefix)
                application.add_handlers(".*$", routes)
        except Exception:
            logger.exception("The dashboard could not be loaded")
        finally:
            application.applications.remove(self)
            application.find_handler = self.find  # type: ignore[method-assign]


def start(server: Scheduler | Worker) -> None:
    """Let the pages be loaded at the first request for one, or for the list of them"""
    pages = Pages(server)
    server.http_application.add_application(pages)
    server.http_application.find_handler = pages.find_handler_of_any  # type: ignore[method-assign]
