# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster states that `make health-matrix` creates with several versions of distributed, and recordings of them.

A recording holds the responses of a real scheduler by route. Unused parts are removed: other lines of ``metrics``, and
everything around the table of the workers page. `make health-matrix RECORD=1` writes the recordings again.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import re
import threading
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.modules import cluster_health

RECORDINGS = Path(__file__).parent / "recordings"
ROUTES = ["json/counts.json", "json/identity.json", "info/main/workers.html", "metrics"]

#: By state: the verdict, the key of the result that names the worker w2 (None if w2 has no problem), and whether the
#: scheduler is idle.
STATES = {
    "idle": ("healthy", None, True),
    "idle-paused": ("degraded", "paused", True),
    "holding": ("healthy", None, False),
    "lacking": ("healthy", None, False),
    "queueing": ("degraded", "paused", False),
    "busy": ("healthy", None, False),
    "busy-paused": ("degraded", "paused", False),
    "busy-stopped": ("unhealthy", "silent", False),
    "idle-stopped": ("unhealthy", "silent", True),
    "idle-missing": ("unhealthy", "missing", True),
    "busy-missing": ("unhealthy", "missing", False),
}


def health(url, **options):
    """Run the module `cluster_health`, check that it changed nothing, and return its result."""
    options = {"url": url, "_ansible_check_mode": True, "fail_when_unhealthy": False, **options}
    output = io.StringIO()
    with patch_module_args(options), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        cluster_health.main()
    result = json.loads(output.getvalue())
    assert "exception" not in result and not result.get("changed")
    return result


def failure(url, **options):
    """Return the only problem of a scheduler that gives no usable response."""
    result = health(url, **options)
    assert (result["verdict"], result["detail"]) == ("unhealthy", "none")
    (problem,) = result["problems"]
    return problem


def strings(value):
    """Return all strings in a value."""
    if isinstance(value, dict):
        return [text for item in value.items() for text in strings(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def assert_can_be_shown(result):
    """Assert that a result is valid JSON and contains only short printable text."""
    json.dumps(result, allow_nan=False)
    for text in strings(result):
        assert text.isprintable() and len(text) < 20000, ascii(text[:200])


def ask(url):
    """Return the module's result for the workers w1 and w2. A worker counts as silent after three seconds."""
    return health(url, workers=[{"name": "w1"}, {"name": "w2"}], silent_after=3)


def check(result, state):
    """Assert that the verdict for a state is right, or "unknown" if the scheduler's responses are incomplete."""
    verdict, key, idle = STATES[state]
    said = json.dumps(result, indent=1)
    assert result["verdict"] in (verdict, "unknown"), said
    assert result["detail"] == "identity" or state.startswith(("busy", "queueing")), said
    if result["detail"] == "identity":
        assert result["verdict"] == verdict, said
    if result["verdict"] == verdict and key and not (key == "paused" and result["detail"] == "names"):
        assert "w2" in result[key], said
    assert result["idle"] is idle, said


def trim(route, body):
    """Return the part of a response that the recording keeps."""
    if route == "metrics":
        lines = [line for line in body.splitlines() if re.match(r"dask_scheduler_(workers|tasks)\{", line)]
        return "\n".join(lines) + "\n"
    table = re.search(r"<table.*</table>", body, re.DOTALL)
    return table.group() if route.endswith(".html") and table else body


@contextlib.contextmanager
def serving(answers):
    """Serve ``answers`` (status, headers and body by route), and 404 for other routes."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers.get(self.path.lstrip("/"), (404, {}, ""))
            self.send_response_only(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the client closed the connection
                self.wfile.write(body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()


def read(version):
    """Return the recordings of a version: responses by state."""
    return json.loads((RECORDINGS / f"distributed-{version}.json").read_text())
