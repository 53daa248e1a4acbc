# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of the scheduler and of workers, which are loaded on the first request."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urljoin

import pytest
from conftest import RUNTIME, STOCK_ROUTES, free_port, scheduler, wait_until, worker
from http_pages import get_json


def bokeh_question():
    """Return a function that returns whether a service has loaded bokeh. Services cannot import this file."""

    def has_bokeh():
        return "bokeh" in sys.modules

    return has_bokeh


def test_worker_loads_its_dashboard_on_the_first_request(ours):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with worker(ours.scheduler, "w3", "--dashboard-address", f"127.0.0.1:{port}", runtime=True):
        wait_until(lambda: "w3" in ours.addresses())
        address = ours.addresses()["w3"]
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
            assert b"dask_worker" in response.read()
        assert ours.client.run(bokeh_question(), workers=[address]) == {address: False}
        for dummy in range(2):
            with urllib.request.urlopen(f"{url}/status", timeout=20) as response:
                assert b"bokeh" in response.read()
        assert ours.client.run(bokeh_question(), workers=[address]) == {address: True}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/nowhere", timeout=10)


def test_scheduler_loads_its_dashboard_on_the_first_request(tmp_path):
    with scheduler(tmp_path, runtime=True) as started, started.client() as client:
        assert get_json(started, "daskops/summary.json")["workers"] == []
        assert not client.run_on_scheduler(bokeh_question())
        # Several requests at the same time all wait until the pages are loaded.
        looks = [
            subprocess.Popen(["curl", "-s", "-w", "%{http_code}", f"{started.url}/{path}"], stdout=subprocess.PIPE)
            for path in ("individual-plots.json", "status", "status", "nowhere")
        ]
        answers = [look.communicate(timeout=60)[0] for look in looks]
        assert [answer[-3:] for answer in answers] == [b"200", b"200", b"200", b"404"]
        assert b"Individual Task Stream" in answers[0]
        assert b"Dask Diagnostic UI" in answers[1] and b"Dask Diagnostic UI" in answers[2]
        assert client.run_on_scheduler(bokeh_question())
        with urllib.request.urlopen(f"{started.url}/", timeout=20) as response:
            assert response.url == f"{started.url}/status"


def test_everything_of_a_scheduler_is_below_its_path(tmp_path):
    routes = ["daskops_runtime.summary", "daskops_runtime.worker_proxy", *STOCK_ROUTES]
    path = {"DASKOPS_DASHBOARD_PREFIX": "a/b"}
    settings = {"scheduler.http.routes": routes}
    arguments = ["--dashboard-prefix", "a/b"]
    with scheduler(tmp_path, *arguments, runtime=True, settings=settings, **path) as started:
        below = f"{started.url}/a/b"

        def get(url):
            with urllib.request.urlopen(url, timeout=30) as response:
                return response.url, response.read().decode()

        port = free_port()
        with worker(started, "w1", "--dashboard-address", f"127.0.0.1:{port}", runtime=True):
            wait_until(lambda: json.loads(get(f"{below}/daskops/summary.json")[1])["workers"])
            # Before the pages are loaded, and after.
            for page in ("", "/", "/status"):
                assert get(f"{below}{page}")[0] == f"{below}/status"
            assert get(f"{started.url}/")[0] == f"{below}/status"
            assert get(f"{below}/health")[1] == "ok"
            (script, *_) = re.findall(r'src="(/[^"]*bokeh.min.js[^"]*)"', get(f"{below}/status")[1])
            assert script.startswith("/a/b/static/") and len(get(f"{started.url}{script}")[1]) > 10_000
            # The list of workers links to their pages, whose own links are relative.
            linked = re.findall(r'href="([^"]*proxy/[^"]*)"', get(f"{below}/info/main/workers.html")[1])
            url, page = get(urljoin(f"{below}/info/main/workers.html", linked[0]))
            assert url == f"{below}/proxy/{port}/127.0.0.1/status"
            (script, *_) = re.findall(r'src="([^"]*bokeh.min.js[^"]*)"', page)
            assert len(get(urljoin(url, script))[1]) > 10_000
            for page in ("status", "health", "daskops/summary.json"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    get(f"{started.url}/{page}")


JUPYTER = """
from tornado import web


class Notebook(web.RequestHandler):
    def get(self, path):
        self.write(f"jupyter answers {path}")


def dask_setup(scheduler):
    # As `dask scheduler --jupyter` does: an application that answers every path, and that comes before the pages.
    scheduler.jupyter = True
    scheduler.http_application.add_application(web.Application([(r"(.*)", Notebook)]))
"""


def test_jupyter_leaves_its_pages_to_the_dashboard(tmp_path):
    (tmp_path / "with_jupyter.py").write_text(JUPYTER)
    settings = {"scheduler.preload": ["with_jupyter", "daskops_runtime.scheduler"]}
    with scheduler(tmp_path, runtime=True, settings=settings, PYTHONPATH=f"{tmp_path}:{RUNTIME}") as started:
        for dummy in range(2):  # before the pages are loaded, and after
            for page, said in {"jupyter/lab": b"jupyter answers /jupyter/lab", "status": b"bokeh"}.items():
                with urllib.request.urlopen(f"{started.url}/{page}", timeout=20) as response:
                    assert said in response.read()


def test_page_without_bokeh_names_the_missing_package(tmp_path):
    (tmp_path / "bokeh").mkdir()
    (tmp_path / "bokeh/__init__.py").write_text("raise ImportError('not here')")
    path = f"{tmp_path}:{RUNTIME}"
    with scheduler(tmp_path, runtime=True, PYTHONPATH=path) as started:
        for dummy in range(2):
            with urllib.request.urlopen(f"{started.url}/status", timeout=20) as response:
                assert b"Dask needs bokeh" in response.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{started.url}/nowhere", timeout=10)
