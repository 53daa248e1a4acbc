# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP routes of a Dask scheduler as one client.

Every failure is a :class:`SchedulerError` which says what was asked, what came back and what to do about it.
:meth:`SchedulerHTTP.report` asks the best route that the scheduler has, so that it works against any scheduler:

``full``
    ``daskops/summary.json``, which schedulers have that run this collection's runtime.
``identity``
    ``json/identity.json`` of a stock scheduler. It tells no versions, and answers 500 while tasks run.
``names``
    The page ``info/main/workers.html``, which Dask renders under load too. It tells no worker's status.
``counts``
    ``json/counts.json``, which only tells how many workers there are.
"""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit

from ansible.module_utils.urls import open_url

SUMMARY = "daskops/summary.json"
IDENTITY = "json/identity.json"
COUNTS = "json/counts.json"
WORKERS_PAGE = "info/main/workers.html"

#: The version of summary.json that this file reads.
SCHEMA = 1

#: More than any scheduler answers; what goes on longer is not one.
MAX_BYTES = 64 * 2**20

CHECK_PORT = (
    "Check that this is the port of the scheduler's dashboard (8787 unless set otherwise; 8786 is for Dask's own "
    "protocol)"
)


class SchedulerError(Exception):
    """A question to the scheduler that failed.

    Parameters
    ----------
    url : str
        What was asked.
    reason : str
        What happened, without a full stop.
    remedy : str
        What to do about it, without a full stop.
    status : int, optional
        The HTTP status, where there was one.
    """

    def __init__(self, url, reason, remedy, status=None):
        super().__init__(f"{url}: {reason}. {remedy}.")
        self.url = url
        self.reason = reason
        self.remedy = remedy
        self.status = status


def normalize_url(url):
    """The root of the scheduler's routes: without a slash at the end, nor the page that ``dashboard_link`` names."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SchedulerError(url, "this is not a URL of a scheduler", "Write it like http://10.0.0.1:8787")
    return urlunsplit((parts.scheme, parts.netloc, re.sub(r"(/status)?/*$", "", parts.path), "", ""))


def explain(error, url, timeout):
    """Turn whatever a request raised into a :class:`SchedulerError`."""
    connecting = isinstance(error, URLError) and not isinstance(error, HTTPError)
    if connecting and isinstance(error.reason, Exception):
        error = error.reason
    parts = urlsplit(url)
    status = None

    if isinstance(error, HTTPError):
        status = error.code
        reason = f"the answer is HTTP {status} {error.reason}"
        if status == 404:
            remedy = f"{CHECK_PORT}, and whether it has a prefix (--dashboard-prefix)"
        elif status in (401, 403):
            remedy = "Something in front of the scheduler asks for a login: give the URL of the scheduler itself"
        elif status in (502, 503, 504):
            remedy = "Something in front of the scheduler does not reach it: give the URL of the scheduler itself"
        else:
            remedy = "The server failed on this request: look at its log (journalctl -u dask-scheduler)"
    elif isinstance(error, socket.gaierror):
        reason = f"the name {parts.hostname} cannot be resolved"
        remedy = "Check how it is spelt, and DNS or /etc/hosts on the machine that asks, or give an IP address"
    elif isinstance(error, ConnectionRefusedError):
        reason = "nothing listens there (connection refused)"
        remedy = (
            f"Check that the scheduler runs (systemctl status dask-scheduler). {CHECK_PORT}; "
            "a scheduler that finds its port taken picks another, which its log tells"
        )
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the server's certificate is not trusted ({error.verify_message})"
        remedy = "Give the certificate authority in ca_path, and use a name or address that the certificate is for"
    elif isinstance(error, ssl.SSLError):
        reason = f"this port does not speak https ({error.reason})"
        remedy = f"Write http:// instead. {CHECK_PORT}"
    elif isinstance(error, socket.timeout) and "handshake" in str(error):
        reason = f"connected, but no https handshake within {timeout:g} s"
        remedy = f"If this port speaks http, write http://; otherwise the process hangs or is stopped. {CHECK_PORT}"
    elif isinstance(error, socket.timeout) and connecting:
        reason = f"no connection within {timeout:g} s"
        remedy = "Check that the host is up, and that no firewall drops what is sent to this port"
    elif isinstance(error, socket.timeout):
        reason = f"connected, but no full answer within {timeout:g} s"
        remedy = (
            "The process hangs, is stopped or has too much to do: look at it on its host "
            "(systemctl status dask-scheduler), or raise request_timeout"
        )
    elif isinstance(error, (http.client.RemoteDisconnected, ConnectionError)):
        reason = "the connection was closed without an answer"
        hint = "If it speaks https, write https://. " if parts.scheme == "http" else ""
        remedy = f"{hint}{CHECK_PORT}"
    elif isinstance(error, http.client.BadStatusLine) and "pickle-protocol" in error.line:
        reason = "this port speaks Dask's own protocol, not HTTP"
        remedy = "Give the port of the scheduler's dashboard, 8787 unless set otherwise"
    elif isinstance(error, http.client.BadStatusLine):
        reason = f"the answer is not HTTP, it begins {shorten(error.line)}"
        remedy = f"Another service uses this port. {CHECK_PORT}"
    elif isinstance(error, http.client.HTTPException):
        reason = f"the answer cannot be read ({type(error).__name__}: {error})"
        remedy = f"Another service may use this port. {CHECK_PORT}"
    else:
        reason = f"no connection ({getattr(error, 'strerror', None) or error})"
        remedy = "Check the address, the network and the firewall between here and there"
    return SchedulerError(url, reason, remedy, status)


def shorten(text, length=60):
    """The beginning of something, in quotes and on one line."""
    return repr(text if len(text) <= length else text[:length] + "...")


class SchedulerHTTP:
    """Ask a scheduler over HTTP.

    Parameters
    ----------
    url : str
        Where its dashboard is, such as ``http://10.0.0.1:8787``, with the prefix if it has one.
    timeout : float
        Seconds that one request may take.
    validate_certs : bool
        Whether an https certificate must be trusted.
    ca_path : str, optional
        File with the certificate authorities to trust.
    """

    def __init__(self, url, timeout=5.0, validate_certs=True, ca_path=None):
        self.root = normalize_url(url)
        self.timeout = timeout
        self.validate_certs = validate_certs
        self.ca_path = ca_path
        if ca_path and not os.path.isfile(ca_path):
            raise SchedulerError(url, f"ca_path is {ca_path}, which is no file here", "Copy the CA there first")

    def url(self, route):
        return f"{self.root}/{route}"

    def get(self, route):
        """Return the text of a route and the headers that came with it."""
        url = self.url(route)
        try:
            response = open_url(
                url,
                timeout=self.timeout,
                validate_certs=self.validate_certs,
                ca_path=self.ca_path,
                decompress=False,
                # The scheduler is part of the cluster: neither a proxy nor a login stands between it and its hosts.
                use_proxy=False,
                use_netrc=False,
            )
            with response:
                return self._read(response).decode("utf-8", "replace"), response.headers
        except UnicodeError as e:
            raise SchedulerError(url, "this is not a URL of a scheduler", "Write it like http://10.0.0.1:8787") from e
        except (OSError, http.client.HTTPException) as e:
            raise explain(e, url, self.timeout) from e

    def _read(self, response):
        # The socket's own time-out only bounds the wait for the next piece.
        deadline = time.monotonic() + self.timeout
        body = b""
        while True:
            piece = response.read1(65536)
            body += piece
            if not piece:
                return body
            if len(body) > MAX_BYTES:
                raise http.client.HTTPException(f"longer than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise socket.timeout

    def get_json(self, route):
        """Return the decoded JSON object of a route and the headers that came with it."""
        text, headers = self.get(route)
        try:
            document = json.loads(text)
        except ValueError:
            kind = headers.get("Content-Type", "no type")
            raise SchedulerError(
                self.url(route),
                f"the answer is no JSON ({kind}), it begins {shorten(text)}",
                f"Something else than a Dask scheduler answers. {CHECK_PORT}",
            ) from None
        return document, headers

    def report(self):
        """Return what the scheduler tells about the cluster, in one shape whichever route told it.

        Returns
        -------
        dict
            ``detail`` names the route. ``scheduler`` has what is known of it. ``count`` is the number of workers and
            ``workers`` a list of them, or None where only the number is known. ``states`` counts paused and retiring
            workers where the workers' own status is unknown. In all of these None means unknown.
        """
        try:
            document, headers = self.get_json(SUMMARY)
        except SchedulerError as e:
            if e.status != 404:
                raise
            return self._stock_report()
        return self._shaped(SUMMARY, from_summary, document)

    def _shaped(self, route, read, *documents):
        try:
            return read(*documents)
        except (LookupError, TypeError, ValueError, AttributeError) as e:
            raise SchedulerError(
                self.url(route),
                f"the JSON has an unexpected shape ({type(e).__name__}: {e})",
                f"Something else than a Dask scheduler answers, or one of another version of this collection. "
                f"{CHECK_PORT}",
            ) from e

    def _stock_report(self):
        try:
            counts, dummy = self.get_json(COUNTS)
        except SchedulerError as e:
            raise self._explain_missing_json(e) if e.status == 404 else e from e
        report = self._shaped(COUNTS, from_counts, counts)
        identity = self._get_identity()
        if not identity:
            return self._fill_without_identity(report)
        better = self._shaped(IDENTITY, from_identity, *identity)
        better["scheduler"].update(report["scheduler"])
        return dict(report, **better)

    def _get_identity(self, attempts=4, pause=0.2):
        """Return identity.json, or None where it answers 500, which it does until a worker's next idle heartbeat."""
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause)
            try:
                return self.get_json(IDENTITY)
            except SchedulerError as e:
                if e.status != 500:
                    raise
        return None

    def _fill_without_identity(self, report):
        try:
            workers = from_workers_page(self.get(WORKERS_PAGE)[0])
            if len(workers) == report["count"]:  # otherwise it is a page that this file cannot read
                report.update(detail="names", workers=workers)
            report["states"] = from_metrics(self.get("metrics")[0])
        except SchedulerError as e:
            if e.status != 404:  # both are routes that an administrator may leave out
                raise
        return report

    def _explain_missing_json(self, error):
        """Tell a Dask server without JSON routes from something that is not Dask at all."""
        try:
            dask = self.get("health")[0] == "ok"
        except SchedulerError:
            dask = False
        if not dask:
            return SchedulerError(
                error.url,
                "an HTTP server answers (404), but not as a Dask scheduler does",
                f"{CHECK_PORT}, and that the URL has the scheduler's prefix if it has one (--dashboard-prefix)",
                404,
            )
        return SchedulerError(
            error.url,
            "a Dask server answers, but it has no JSON routes (404)",
            "If this is a worker's port, give the scheduler's; otherwise list distributed.http.scheduler.json in "
            "distributed.scheduler.http.routes on the scheduler",
            404,
        )


def from_summary(document):
    """Read the document of this collection's runtime."""
    if document["schema"] != SCHEMA:
        raise ValueError(f"schema {document['schema']} instead of {SCHEMA}")
    versions = document["versions"]

    def with_versions(item):
        number = item["versions"]
        return dict(item, versions=None if number is None else versions[number])

    scheduler = with_versions(document["scheduler"])
    tasks = scheduler.pop("tasks")
    count = scheduler.pop("workers")
    return {
        "detail": "full",
        "scheduler": scheduler,
        "count": int(count),
        "workers": [
            dict(with_versions(worker), name=str(worker["name"]), heartbeat_age=float(worker["heartbeat_age"]))
            for worker in document["workers"]
        ],
        "tasks": tasks,
        "states": None,
    }


def from_counts(document):
    """Read ``json/counts.json``."""
    return {
        "detail": "counts",
        "scheduler": {"clients": document["clients"] - 1},  # one is the scheduler's own
        "count": int(document["workers"]),
        "workers": None,
        "tasks": {state: document[state] for state in ("erred", "memory", "processing", "released", "waiting")},
        "states": None,
    }


def from_identity(document, headers):
    """Read ``json/identity.json``; the clock that ``last_seen`` was read from is the scheduler's, so is ``Date``."""
    try:
        now = parsedate_to_datetime(headers["Date"]).timestamp()
    except (TypeError, ValueError):
        now = time.time()
    return {
        "detail": "identity",
        "scheduler": {key: document[key] for key in ("id", "address", "started")},
        "count": len(document["workers"]),
        "workers": [
            {
                "name": str(worker["name"]),
                "address": address,
                "host": worker["host"],
                "status": worker["status"],
                # told by workers that run this collection's runtime, even to a stock scheduler
                "release": worker.get("daskops_release"),
                "nthreads": worker["nthreads"],
                "resources": worker["resources"],
                "dashboard_port": worker["services"].get("dashboard"),
                "memory_limit": worker["memory_limit"] or None,
                "memory": worker["metrics"].get("memory"),
                "heartbeat_age": round(max(0.0, now - worker["last_seen"]), 3),
            }
            for address, worker in document["workers"].items()
        ],
    }


def from_workers_page(page):
    """Read the table of ``info/main/workers.html``."""
    workers = []
    for row in page.split("<tr")[1:]:
        cells = re.search(r'<a href="[^"]*/worker/[^"]*">([^<]+)</a></td>\s*<td>([^<]*)</td>\s*<td>\s*(\d+)', row)
        sizes = re.findall(r'data-sort="([\d.]+|None)"', row)
        used = re.search(r'<progress [^>]*value="(\d+)"', row)
        if not cells or not sizes:
            continue
        address, name, nthreads = (html.unescape(cell).strip() for cell in cells.groups())
        workers.append(
            {
                "name": name,
                "address": address,
                "host": urlsplit(address).hostname,
                "nthreads": int(nthreads),
                "memory_limit": None if sizes[0] == "None" else int(sizes[0]) or None,
                "memory": int(used.group(1)) if used else None,
                "heartbeat_age": round(float(sizes[-1]), 3),
            }
        )
    return workers


def from_metrics(text):
    """Count paused and retiring workers; None where the scheduler lacks prometheus_client."""
    found = re.findall(r'^dask_scheduler_workers\{state="(paused|retiring)"\} ([\d.]+)', text, re.MULTILINE)
    return {state: int(float(number)) for state, number in found} or None
