# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of the HTTP routes of a Dask scheduler.

Every failure raises a :class:`SchedulerError`, whose message has the URL, the error and the remedy.
:meth:`SchedulerHTTP.report` requests the most detailed route that the scheduler has, so it works with any scheduler:

``full``
    ``daskops/summary.json`` of schedulers that run this collection's runtime.
``identity``
    ``json/identity.json`` of a stock scheduler. It has no versions. Since 2023.7, it answers HTTP 500 while tasks run.
``names``
    The page ``info/main/workers.html``, which Dask also renders under load. It has no status of workers.
``counts``
    ``json/counts.json``, which has only the number of workers.
"""

from __future__ import annotations

import http.client
import os
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
)

from .scheduler_answers import (
    Unreadable,
    from_counts,
    from_identity,
    from_metrics,
    from_summary,
    from_workers_page,
    parse_json,
    printable,
)

SUMMARY = "daskops/summary.json"
IDENTITY = "json/identity.json"
COUNTS = "json/counts.json"
WORKERS_PAGE = "info/main/workers.html"

#: Largest answer that is read, in bytes. The largest one, identity.json, has about 8 MB with 3,000 workers.
MAX_BYTES = 16 * 2**20

#: Seconds that a request may take beyond its timeout. The socket's own timeout expires first, and its error names the step.
GRACE = 0.5

CHECK_PORT = (
    "Check that this is the port of the scheduler's dashboard (8787 unless set otherwise; 8786 is for Dask's own "
    "protocol)"
)


class SchedulerError(Exception):
    """A request to the scheduler that failed.

    Parameters
    ----------
    url : str
        The URL of the request.
    reason : str
        The error, without a full stop.
    remedy : str
        The remedy, without a full stop.
    status : int, optional
        The HTTP status, if there was an HTTP answer.
    lasting : bool
        Whether the same request fails until the configuration is changed, so that waiting does not help.
    """

    def __init__(self, url: str, reason: str, remedy: str, status: int | None = None, lasting: bool = False) -> None:
        # Parts of the message come from the network, and a terminal may show them.
        super().__init__(printable(f"{url}: {reason}. {remedy}.", 2000))
        self.url = url
        self.reason = reason
        self.remedy = remedy
        self.status = status
        self.lasting = lasting


def normalize_url(url: str) -> str:
    """Return the root of the scheduler's routes: without a final slash and without the page ``/status``."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SchedulerError(url, "this is not a URL of a scheduler", "Write it like http://10.0.0.1:8787")
    return urlunsplit((parts.scheme, parts.netloc, re.sub(r"(/status)?/*$", "", parts.path), "", ""))


def explain(error: Exception, url: str, timeout: float) -> SchedulerError:
    """Return the :class:`SchedulerError` for an exception that a request raised."""
    connecting = False
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        connecting = True
        if isinstance(error.reason, Exception):
            error = error.reason
    parts = urlsplit(url)
    status = None
    lasting = False

    if isinstance(error, HTTPError):
        status = error.code
        reason = f"the answer is HTTP {status} {error.reason}"
        lasting = status in (401, 403) or 300 <= status < 400
        if 300 <= status < 400:
            reason += f", a redirection to {printable(error.headers.get('Location') or 'nowhere')}"
            remedy = "Redirections are not followed. Give the URL of the scheduler itself"
        elif status == 404:
            remedy = f"{CHECK_PORT}, and whether it has a prefix (--dashboard-prefix)"
        elif status in (401, 403):
            remedy = "A server in front of the scheduler requires a login. Give the URL of the scheduler itself"
        elif status in (502, 503, 504):
            remedy = "A server in front of the scheduler cannot reach it. Give the URL of the scheduler itself"
        else:
            remedy = "The server failed on this request. See its log (journalctl -u dask-scheduler)"
    elif isinstance(error, socket.gaierror):
        reason = f"the name {parts.hostname} cannot be resolved"
        remedy = "Check its spelling, and DNS or /etc/hosts on the host that makes the request, or give an IP address"
    elif isinstance(error, ConnectionRefusedError):
        reason = "nothing listens there (connection refused)"
        remedy = (
            f"Check that the scheduler runs (systemctl status dask-scheduler). {CHECK_PORT}; "
            "a scheduler whose port is in use listens on another port, which it writes to its log"
        )
    elif isinstance(error, ssl.SSLCertVerificationError):
        lasting = True
        reason = f"the server's certificate is not trusted ({error.verify_message})"
        remedy = "Give the CA in ca_path, and use a name or address that is in the certificate"
    elif isinstance(error, ssl.SSLError):
        reason = f"this port does not speak https ({error.reason})"
        remedy = f"Write http:// instead. {CHECK_PORT}"
    elif isinstance(error, socket.timeout) and "handshake" in str(error):
        reason = f"connected, but no https handshake within {timeout:g} s"
        remedy = f"If this port speaks http, write http://. Otherwise the process hangs or is stopped. {CHECK_PORT}"
    elif isinstance(error, socket.timeout) and connecting:
        reason = f"no connection within {timeout:g} s"
        remedy = "Check that the host is up, and that no firewall drops packets to this port"
    elif isinstance(error, socket.timeout):
        reason = f"connected, but no complete answer within {timeout:g} s"
        remedy = (
            "The process hangs, is stopped or is overloaded. Check it on its host "
            "(systemctl status dask-scheduler), or raise request_timeout"
        )
    elif isinstance(error, (http.client.RemoteDisconnected, ConnectionError)):
        reason = "the connection was closed without an answer"
        hint = "If it speaks https, write https://. " if parts.scheme == "http" else ""
        remedy = f"{hint}{CHECK_PORT}"
    elif isinstance(error, http.client.BadStatusLine) and "pickle-protocol" in status_line(error):
        reason = "this port speaks Dask's own protocol, not HTTP"
        remedy = "Give the port of the scheduler's dashboard, 8787 unless set otherwise"
    elif isinstance(error, http.client.BadStatusLine):
        reason = f"the answer is not HTTP. It begins with {shorten(status_line(error))}"
        remedy = f"Another service uses this port. {CHECK_PORT}"
    elif isinstance(error, http.client.HTTPException):
        reason = f"the answer cannot be read ({type(error).__name__}: {error})"
        remedy = f"Another service may use this port. {CHECK_PORT}"
    elif isinstance(error, OSError):
        reason = f"no connection ({error.strerror or error})"
        remedy = "Check the address, the network, and the firewalls between the hosts"
    else:
        reason = f"the answer cannot be read ({type(error).__name__}: {error})"
        remedy = f"Another service may use this port. {CHECK_PORT}"
    return SchedulerError(url, reason, remedy, status, lasting)


def status_line(error: http.client.BadStatusLine) -> str:
    """Return the first line of an answer that is not HTTP."""
    line: str = getattr(error, "line", "")
    return line


def shorten(text: str, length: int = 60) -> str:
    """Return the beginning of a text, in quotes and on one line."""
    return repr(text if len(text) <= length else text[:length] + "...")


def within(seconds: float, function: Callable[[], Any]) -> Any:
    """Return the result of ``function``, or raise its exception; raise socket.timeout after ``seconds``.

    A socket's timeout limits only single operations. Resolving a name, or receiving headers one by one, can take longer. The
    thread of ``function`` then continues until the process ends.
    """
    outcome: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            outcome.put((function(), None))
        except BaseException as e:  # the waiting thread raises it again
            outcome.put((None, e))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise socket.timeout from None
    if error:
        raise error
    return value


def make_context(url: str, validate_certs: bool, ca_path: str | None) -> ssl.SSLContext:
    """Return the TLS context for requests to ``url``."""
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except (OSError, ValueError) as e:  # an ssl.SSLError is an OSError
        raise SchedulerError(
            url,
            f"the file in ca_path, {ca_path}, cannot be used ({getattr(e, 'strerror', None) or e})",
            "Give a file with certificates in PEM format that the module's user may read",
        ) from e
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SchedulerHTTP:
    """Request the routes of a scheduler over HTTP.

    Parameters
    ----------
    url : str
        URL of the scheduler's dashboard, such as ``http://10.0.0.1:8787``, with its prefix if it has one.
    timeout : float
        Seconds that one request may take. A report takes at most nine requests.
    validate_certs : bool
        Whether an https certificate must be trusted.
    ca_path : str, optional
        File with the certificates of the trusted CAs, in PEM format.
    """

    #: Number of requests of identity.json before the page of workers is read instead, and the seconds between them.
    attempts, pause = 4, 0.2

    def __init__(self, url: str, timeout: float = 5.0, validate_certs: bool = True, ca_path: str | None = None) -> None:
        self.root = normalize_url(url)
        self.timeout = timeout
        if ca_path and not os.path.isfile(ca_path):
            raise SchedulerError(
                url, f"the file in ca_path, {ca_path}, does not exist on this host", "Copy the CA there first"
            )
        # The scheduler is part of the cluster, so requests need no proxy and no login. There is no handler for redirections,
        # because a server must not choose the next URL that a host requests.
        self.opener = OpenerDirector()
        handlers: list[BaseHandler] = [HTTPHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()]
        if self.root.startswith("https:"):
            handlers.append(HTTPSHandler(context=make_context(url, validate_certs, ca_path)))
        for handler in handlers:
            self.opener.add_handler(handler)

    def url(self, route: str) -> str:
        """Return the URL of a route."""
        return f"{self.root}/{route}"

    def get(self, route: str) -> tuple[str, Mapping[str, str]]:
        """Return the text of a route and the headers of the answer.

        Raises
        ------
        SchedulerError
        """
        url = self.url(route)
        try:
            return within(self.timeout + GRACE, lambda: self._get(url))
        except UnicodeError as e:
            raise SchedulerError(url, "this is not a URL of a scheduler", "Write it like http://10.0.0.1:8787") from e
        except Exception as e:  # the library raises many kinds of exceptions for answers of other servers
            raise explain(e, url, self.timeout) from e

    def _get(self, url: str) -> tuple[str, Mapping[str, str]]:
        with self.opener.open(url, timeout=self.timeout) as response:
            return self._read(response).decode("utf-8", "replace"), response.headers

    def _read(self, response: Any) -> bytearray:
        # The socket's timeout limits only the wait for the next part of the answer.
        deadline = time.monotonic() + self.timeout
        body = bytearray()
        while True:
            piece = response.read1(65536)
            body += piece
            if not piece:
                return body
            if len(body) > MAX_BYTES:
                raise http.client.HTTPException(f"longer than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise socket.timeout

    def get_json(self, route: str) -> tuple[Any, Mapping[str, str]]:
        """Return the decoded JSON of a route and the headers of the answer; raises `SchedulerError`."""
        text, headers = self.get(route)
        try:
            document = parse_json(text)
        except Unreadable:
            kind = printable(headers.get("Content-Type", "no type"), 60)
            raise SchedulerError(
                self.url(route),
                f"the answer is not JSON ({kind}). It begins with {shorten(text)}",
                f"The server is not a Dask scheduler. {CHECK_PORT}",
            ) from None
        return document, headers

    def report(self) -> dict[str, Any]:
        """Return the scheduler's report about the cluster, in the same form for every route.

        Returns
        -------
        dict
            ``detail`` names the route. ``scheduler`` describes the scheduler. ``count`` is the number of workers, and
            ``workers`` is their list, or None if only the number is known. ``known_tasks`` is the number of all tasks, and
            ``tasks`` the number by state. ``states`` counts paused and retiring workers if the status of each worker is
            unknown. None always means unknown.
        """
        try:
            document, headers = self.get_json(SUMMARY)
        except SchedulerError as e:
            if e.status != 404:
                raise
            return self._stock_report()
        return self._shaped(SUMMARY, from_summary, document)

    def _shaped(self, route: str, read: Callable[..., dict[str, Any]], *documents: Any) -> dict[str, Any]:
        try:
            return read(*documents)
        except Unreadable as e:
            raise SchedulerError(
                self.url(route),
                f"the JSON has an unexpected form ({e})",
                f"The server is not a Dask scheduler, or has another version of this collection. {CHECK_PORT}",
            ) from e

    def _stock_report(self) -> dict[str, Any]:
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

    def _get_identity(self) -> tuple[Any, Mapping[str, str]] | None:
        """Return identity.json; None if it answers HTTP 500, as it does until a worker's next heartbeat without tasks."""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.pause)
            try:
                return self.get_json(IDENTITY)
            except SchedulerError as e:
                if e.status != 500:
                    raise
        return None

    def _fill_without_identity(self, report: dict[str, Any]) -> dict[str, Any]:
        # An administrator may disable any of these routes. Dask's page of workers fails if a worker has unusual metrics.
        left_out = (404, 500)
        try:
            workers = from_workers_page(self.get(WORKERS_PAGE)[0])
            if workers is not None:
                report.update(detail="names", workers=workers, count=len(workers))
        except SchedulerError as e:
            if e.status not in left_out:
                raise
        try:
            report["states"] = from_metrics(self.get("metrics")[0])
        except SchedulerError as e:
            if e.status not in left_out:
                raise
        return report

    def _explain_missing_json(self, error: SchedulerError) -> SchedulerError:
        """Return the error for a Dask server without JSON routes, or for a server that is not Dask."""
        try:
            dask = self.get("health")[0] == "ok"
        except SchedulerError:
            dask = False
        if not dask:
            return SchedulerError(
                error.url,
                "an HTTP server answers (404), but it is not a Dask scheduler",
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
