# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the HTTP servers of schedulers and workers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request


def fetch(url, method="GET", token=None):
    """Return the status and the text of a response."""
    request = urllib.request.Request(url, method=method, data=b"" if method == "POST" else None)
    if token:
        request.add_header("Authorization", token)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, f"{e.reason} {e.read().decode()}"


def get_text(url):
    """Return the text of a page."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def get_json(scheduler, route):
    """Return the JSON of a route of a scheduler."""
    with urllib.request.urlopen(f"{scheduler.url}/{route}", timeout=10) as response:
        assert response.headers["Content-Type"].startswith("application/json")
        return json.load(response)


def http_port(started, name):
    """Return the HTTP port of a worker."""
    workers = get_json(started, "daskops/summary.json")["workers"]
    return next(worker["dashboard_port"] for worker in workers if worker["name"] == name)
