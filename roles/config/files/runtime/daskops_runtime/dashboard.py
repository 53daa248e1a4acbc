# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load the pages of a service's dashboard on the first request for a page.

The pages take a third of the time and memory of a worker's start. They take half of the time of a scheduler's start, and all
workers wait for this start. Few users open a worker's pages. So services start with ``--no-dashboard``. Other routes, such
as metrics and health, are available from the start.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
from typing import Any

from distributed import Scheduler, Worker
from distributed.http.utils import get_handlers
from tornado import web
from tornado.httputil import HTTPServerRequest

logger = logging.getLogger("distributed.daskops.dashboard")


#: Route with the list of pages, for example for JupyterLab.
LIST = "/individual-plots.json"
#: Root of the pages of Jupyter, which ``dask scheduler --jupyter`` serves.
JUPYTER = "/jupyter/"


class Waiting(web._HandlerDelegate):
    """A request that matches no other route and waits for the pages."""

    application: Pages

    def finish(self) -> None:
        self.application.answer(self)


class Pages(web.Application):
    """A placeholder for the pages until the first request."""

    def __init__(self, server: Scheduler | Worker):
        super().__init__()
        self.server = server
        self.find = server.http_application.find_handler
        self.loading: asyncio.Task | None = None
        self.answers: set[asyncio.Task] = set()

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> web._HandlerDelegate:
        if getattr(self.server, "jupyter", False) and request.path.startswith(JUPYTER):
            return super().find_handler(
                request, **kwargs
            )  # not a page of the dashboard, so the next application handles it
        return Waiting(self, request, web.RequestHandler, {}, [], {})

    def find_handler_of_any(self, request: HTTPServerRequest, **kwargs: Any) -> web._HandlerDelegate:
        """Replace this method of the application with all routes, so that the list of pages also loads the pages."""
        return self.find_handler(request) if request.path.endswith(LIST) else self.find(request, **kwargs)

    def answer(self, waiting: Waiting) -> None:
        """Load the pages, and let them answer a request."""
        if self.loading is None:
            self.loading = asyncio.create_task(self.load())
        answer = asyncio.create_task(self.hand_over(waiting, self.loading))
        self.answers.add(answer)
        answer.add_done_callback(self.answers.discard)

    async def hand_over(self, waiting: Waiting, loading: asyncio.Task) -> None:
        await asyncio.wait({loading})
        if waiting.chunks is not None:  # None if the client has disconnected
            handler = self.find(waiting.request)
            handler.chunks = waiting.chunks
            handler.finish()

    async def load(self) -> None:
        kind = "scheduler" if isinstance(self.server, Scheduler) else "worker"
        application = self.server.http_application
        others = [one for one in application.applications if one is not self]
        prefix = get_prefix(self.server)
        try:
            # The import takes a second, so do not block the event loop.
            module = await asyncio.to_thread(importlib.import_module, f"distributed.dashboard.{kind}")
            module.connect(application, self.server.http_server, self.server, prefix=prefix)
            if kind == "scheduler" and prefix:
                # Dask's own redirections lead to /PREFIX/PREFIX/status.
                to_status = {"url": f"/{prefix}/status", "permanent": False}
                application.add_handlers(".*$", [(rf"/(?:{re.escape(prefix)}/?)?", web.RedirectHandler, to_status)])
        except ImportError:
            logger.info("No dashboard: bokeh is not installed")
            if kind == "scheduler":  # a page that says that bokeh is missing
                routes = get_handlers(self.server, ["distributed.http.scheduler.missing_bokeh"], prefix=prefix)
                application.add_handlers(".*$", routes)
        except Exception:
            logger.exception("The dashboard could not be loaded")
        finally:
            # The pages must come first, because Jupyter's application answers every path.
            pages = [one for one in application.applications if one not in (self, *others)]
            application.applications[:] = [*pages, *others]
            application.find_handler = self.find  # type: ignore[method-assign]


def get_prefix(server: Scheduler | Worker) -> str:
    """Return the path below which a service serves its pages, without slashes at the ends. Only schedulers have one."""
    return os.environ.get("DASKOPS_DASHBOARD_PREFIX", "") if isinstance(server, Scheduler) else ""


def start(server: Scheduler | Worker) -> None:
    """Load the pages on the first request for a page or for the list of pages."""
    pages = Pages(server)
    server.http_application.applications.insert(0, pages)
    server.http_application.find_handler = pages.find_handler_of_any  # type: ignore[method-assign]
