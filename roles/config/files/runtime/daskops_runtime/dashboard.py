# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a worker's dashboard, which are loaded when somebody looks at one.

They are a third of what it costs to start a worker, in time and in memory, and few ever look. The worker is started with
``--no-dashboard``; its other routes, metrics and health among them, are there from the start.
"""

from __future__ import annotations

import logging
from typing import Any

from distributed import Worker
from tornado import web
from tornado.httputil import HTTPServerRequest

logger = logging.getLogger("distributed.daskops.dashboard")


class Pages(web.Application):
    """Stands where the pages will be, until the first request for one"""

    def __init__(self, worker: Worker):
        super().__init__()
        self.worker = worker

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> web._HandlerDelegate:
        application = self.worker.http_application
        application.applications.remove(self)
        try:
            from distributed.dashboard.worker import connect
        except ImportError:
            logger.info("No dashboard: bokeh is not installed")
            return super().find_handler(request, **kwargs)
        connect(application, self.worker.http_server, self.worker, prefix=self.worker._http_prefix)
        return application.find_handler(request, **kwargs)


def start(worker: Worker) -> None:
    """Let the pages be loaded at the first request that no other route answers"""
    worker.http_application.add_application(Pages(worker))
