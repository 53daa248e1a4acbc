# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the answers of a Dask scheduler. Pure functions.

Most values in an answer come from workers and clients, so no value has a guaranteed type. The readers check every value that
they return: a number is finite, and a text is short and has no control characters. A value of another type becomes None,
which means unknown. A document that no scheduler writes raises :class:`Unreadable`.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

#: The version of summary.json that this file reads.
SCHEMA = 1

#: Characters of a text that are kept. A worker's name is a host name of at most 253 characters and a number.
LENGTH = 300
#: Items of a list or dictionary in a worker's entry that are kept.
ITEMS = 200

#: Characters of a row of the page of workers that are read. A real row has about 1,200.
ROW = 20000


class Unreadable(ValueError):
    """A document that no scheduler writes. The message says what is wrong with it."""


def printable(value: object, length: int = LENGTH) -> str:
    """Return ``value`` as one line of at most ``length`` characters; control characters become escape sequences."""
    value = str(value)
    more = "..." if len(value) > length else ""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value[:length]) + more


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. NaN, infinity and numbers of more than 40 digits become None.

    Raises
    ------
    Unreadable
        If the text is not JSON, or is nested too deeply.
    """

    def whole(digits: str) -> int | None:
        return int(digits) if len(digits) <= 40 else None  # int() of many digits takes minutes before Python 3.11

    def fraction(digits: str) -> float | None:
        return number(float(digits))

    try:
        return json.loads(text, parse_int=whole, parse_float=fraction, parse_constant=lambda dummy: None)
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON") from None


def number(value: object) -> float | None:
    """Return ``value`` if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: object) -> int | None:
    """Return ``value`` as a whole number of at least 0, else None."""
    value = number(value)
    return int(value) if value is not None and value >= 0 else None


def text(value: object) -> str | None:
    """Return ``value`` as printable text if it is a string that is not empty, else None."""
    return printable(value) if isinstance(value, str) and value else None


def name(value: object) -> str | None:
    """Return ``value`` as a name, which in Dask may be a string or a number, else None."""
    return text(str(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else text(value)


def numbers(value: object) -> dict[str, float]:
    """Return the items of a dictionary whose values are finite numbers; empty if ``value`` is not a dictionary."""
    if not isinstance(value, dict):
        return {}
    found = {printable(key): number(item) for key, item in list(value.items())[:ITEMS]}
    return {key: item for key, item in found.items() if item is not None}


def texts(value: object) -> list[str]:
    """Return the strings in a list; empty if ``value`` is not a list."""
    return [printable(item) for item in value[:ITEMS] if isinstance(item, str)] if isinstance(value, list) else []


def packages(value: object) -> dict[str, str | None] | None:
    """Return the version by package, None for a package that is not installed; None if nothing is known."""
    if not isinstance(value, dict) or not value:
        return None
    return {printable(key): None if item is None else printable(item) for key, item in list(value.items())[:ITEMS]}


def a_dict(value: object, what: str) -> dict[str, Any]:
    """Return ``value`` if it is a dictionary, else raise :class:`Unreadable`."""
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is not an object")
    return value


def a_count(document: Mapping[str, Any], key: str) -> int:
    """Return a required whole number of a document, else raise :class:`Unreadable`."""
    value = whole(document.get(key))
    if value is None:
        raise Unreadable(f"{key} is not a number")
    return value


def an_age(value: object) -> float | None:
    """Return the seconds since a heartbeat, at least 0; None if unknown."""
    value = number(value)
    return None if value is None else round(max(0.0, value), 3)


def clean(value: object, depth: int = 5) -> Any:
    """Return ``value`` with printable text and finite numbers only. Values nested deeper than ``depth`` become None."""
    if isinstance(value, dict) and depth:
        return {printable(key): clean(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list) and depth:
        return [clean(item, depth - 1) for item in value]
    return printable(value, 2000) if isinstance(value, str) else value if isinstance(value, bool) else number(value)


def from_settings(document: object) -> dict[str, Any]:
    """Read the answer of a service to the command ``configuration``."""
    document = a_dict(document, "the answer")
    settings = a_dict(document.get("settings"), "settings")
    for key, pair in settings.items():
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):
            raise Unreadable(f"{printable(key)} is not a value and its origin")
    return {"settings": clean(settings), "drift": texts(document.get("drift"))}


def from_clients(document: object) -> tuple[list[dict[str, Any]], int]:
    """Read the answer to the command ``clients``: the clients that want tasks, and the number of clients left out."""
    document = a_dict(document, "the answer")
    listed = document.get("clients")
    if not isinstance(listed, list):
        raise Unreadable("clients is not a list")
    clients = []
    for client in listed[:ITEMS]:
        client = a_dict(client, "a client")
        called = text(client.get("client")) or "unknown"
        # Dask calls clients Client-ID or Client-NAME-ID, where the ID is a UUID.
        named = re.fullmatch(r"Client-(?:(.+)-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", called)
        clients.append(
            {
                "name": (named.group(1) or "") if named else called,
                "address": text(client.get("address")),
                "wanted": a_count(client, "wanted"),
                "looked_at": a_count(client, "looked_at"),
                "tasks": {state: int(amount) for state, amount in numbers(client.get("tasks")).items() if amount >= 0},
                "bytes": a_count(client, "bytes"),
            }
        )
    return clients, a_count(document, "more")


def from_summary(document: object) -> dict[str, Any]:
    """Read ``summary.json``, the document of this collection's runtime."""
    document = a_dict(document, "the answer")
    if document.get("schema") != SCHEMA:
        raise Unreadable(f"schema {printable(document.get('schema'), 20)} instead of {SCHEMA}")
    versions, listed = document.get("versions"), document.get("workers")
    if not isinstance(versions, list) or not isinstance(listed, list):
        raise Unreadable("workers or versions is not a list")

    def versions_of(item: Mapping[str, Any]) -> dict[str, str | None] | None:
        index = item.get("versions")
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(versions):
            return packages(versions[index])
        return None

    scheduler = a_dict(document.get("scheduler"), "scheduler")
    status = text(scheduler.get("status"))
    if status is None:
        raise Unreadable("the scheduler's status is not a text")
    counted = a_dict(scheduler.get("tasks"), "tasks")
    tasks = {printable(state): a_count(counted, state) for state in list(counted)[:ITEMS]}
    workers = []
    for worker in listed:
        worker = a_dict(worker, "a worker")
        called = name(worker.get("name"))
        if called is None:
            raise Unreadable("a worker has no name")
        workers.append(
            {
                "name": called,
                "address": text(worker.get("address")),
                "host": text(worker.get("host")),
                "status": text(worker.get("status")),
                "release": text(worker.get("release")),
                "label": text(worker.get("label")),
                "pid": whole(worker.get("pid")),
                "nanny": text(worker.get("nanny")),
                "nthreads": whole(worker.get("nthreads")),
                "resources": numbers(worker.get("resources")),
                "dashboard_port": whole(worker.get("dashboard_port")),
                "processing": whole(worker.get("processing")),
                "memory_limit": whole(worker.get("memory_limit")) or None,
                "memory": whole(worker.get("memory")),
                "managed": whole(worker.get("managed")),
                "spilled": whole(worker.get("spilled")),
                "heartbeat_age": an_age(worker.get("heartbeat_age")),
                "versions": versions_of(worker),
                "certificate_expires": number(worker.get("certificate_expires")),
                "drift": texts(worker.get("drift")),
            }
        )
    return {
        "detail": "full",
        "standby": standby_of(document.get("standby")),
        "scaling_requests": requests_of(document.get("scaling_requests")),
        "scheduler": {
            "id": text(scheduler.get("id")),
            "address": text(scheduler.get("address")),
            "status": status,
            "started": number(scheduler.get("started")),
            "release": text(scheduler.get("release")),
            "versions": versions_of(scheduler),
            "certificate_expires": number(scheduler.get("certificate_expires")),
            "drift": texts(scheduler.get("drift")),
            "clients": whole(scheduler.get("clients")),
        },
        "count": len(workers),
        "workers": workers,
        "tasks": tasks,
        "known_tasks": sum(tasks.values()),
        "states": None,
    }


def standby_of(listed: object) -> list[dict[str, Any]]:
    """Return the workers whose units wait or were told to start; none if an older runtime does not report them."""
    found = []
    for worker in listed if isinstance(listed, list) else []:
        called = name(worker.get("name")) if isinstance(worker, dict) else None
        if called is not None:
            texts = {key: text(worker.get(key)) for key in ("host", "release", "outside", "cause")}
            returns = worker.get("returns") is not False
            found.append({"name": called, **texts, "returns": returns, "starting": worker.get("starting") is True})
    return found


def requests_of(listed: object) -> list[dict[str, Any]]:
    """Return the requests of clients for numbers of workers in ``summary.json``, without those that are not complete."""
    found = []
    for request in listed[:ITEMS] if isinstance(listed, list) else []:
        if isinstance(request, dict):
            one: dict[str, Any] = {key: text(request.get(key)) for key in ("pool", "since", "address")}
            one.update({key: whole(request.get(key)) for key in ("minimum", "maximum", "workers", "waiting")})
            if None not in one.values():
                found.append(one)
    return found


def from_counts(document: object) -> dict[str, Any]:
    """Read ``json/counts.json``.

    Only ``tasks`` counts every task once. ``waiting`` counts tasks that wait for another task, and ``unrunnable`` counts
    tasks that wait for a worker. Queued tasks are not counted separately.
    """
    document = a_dict(document, "the answer")
    states = {state: state for state in ("erred", "memory", "processing", "released", "waiting")}
    states["unrunnable"] = "no-worker"
    return {
        "detail": "counts",
        "scheduler": {"clients": max(0, a_count(document, "clients") - 1)},  # one is the scheduler's own
        "count": a_count(document, "workers"),
        "workers": None,
        "tasks": {state: a_count(document, key) for key, state in states.items()},
        "known_tasks": a_count(document, "tasks"),
        "states": None,
    }


def from_identity(document: object, headers: Mapping[str, str]) -> dict[str, Any]:
    """Read ``json/identity.json``. Both ``last_seen`` and the header ``Date`` come from the scheduler's clock."""
    document = a_dict(document, "the answer")
    listed = a_dict(document.get("workers"), "workers")
    if text(document.get("address")) is None or text(document.get("id")) is None:
        raise Unreadable("the scheduler has no address")
    try:
        now = parsedate_to_datetime(headers["Date"]).timestamp()
    except (LookupError, TypeError, ValueError, OverflowError):
        now = None
    workers = []
    for address, worker in listed.items():
        worker = a_dict(worker, "a worker")
        seen = number(worker.get("last_seen"))
        services, metrics = worker.get("services"), worker.get("metrics")
        workers.append(
            {
                "name": name(worker.get("name")) or printable(address),
                "address": printable(address),
                "host": text(worker.get("host")),
                "status": text(worker.get("status")),
                # Workers with this collection's runtime send their release to any scheduler.
                "release": text(worker.get("daskops_release")),
                "label": text(worker.get("daskops_release_label")),
                "nthreads": whole(worker.get("nthreads")),
                "resources": numbers(worker.get("resources")),
                "dashboard_port": whole(services.get("dashboard")) if isinstance(services, dict) else None,
                "memory_limit": whole(worker.get("memory_limit")) or None,
                "memory": whole(metrics.get("memory")) if isinstance(metrics, dict) else None,
                "heartbeat_age": None if now is None or seen is None else an_age(now - seen),
            }
        )
    return {
        "detail": "identity",
        "scheduler": {
            "id": text(document.get("id")),
            "address": text(document.get("address")),
            "started": number(document.get("started")),
        },
        "count": len(workers),
        "workers": workers,
    }


def from_workers_page(page: str) -> list[dict[str, Any]] | None:
    """Read the table of ``info/main/workers.html``. The headings identify the columns.

    Returns
    -------
    list of dict or None
        The workers. None if the page differs from those of distributed 2022.12 to 2026.8.
    """
    rows = [row[:ROW] for row in page.split("<tr")[1:]]
    if not rows:
        return None
    headings = re.findall(r"<th[ >]([^<]{0,100})<", rows[0])
    columns = {heading.strip(" >\t\r\n").lower(): index for index, heading in enumerate(headings)}
    if not {"worker", "name", "last seen"} <= columns.keys():
        return None
    width = max(columns.values()) + 1
    workers = []
    for row in rows[1:]:
        cells = re.split(r"<td[ >]", row)[1:]
        link = re.search(r'href="\.\./worker/[^"<]{1,1000}">([^<]{1,1000})<', cells[0]) if cells else None
        if len(cells) < width or not link:
            return None
        address = html.unescape(link.group(1)).strip()
        limit = _cell(cells, columns, "memory")
        used = re.search(r'value="(\d{1,20})"', cells[columns.get("memory use", 0)])
        workers.append(
            {
                "name": text(_cell(cells, columns, "name")[1]) or printable(address),
                "address": printable(address),
                "host": _host_of(address),
                "nthreads": whole(_number_of(_cell(cells, columns, "cores")[1])),
                # None if the page has only a rounded size and no number to sort by.
                "memory_limit": whole(_number_of(limit[0])) or None,
                "memory": int(used.group(1)) if used else None,
                "heartbeat_age": an_age(_age_of(*_cell(cells, columns, "last seen"))),
            }
        )
    return workers


def _cell(cells: Sequence[str], columns: Mapping[str, int], key: str) -> tuple[str, str]:
    """Return the sort value and the text of a column's cell; both empty if there is no such column."""
    if key not in columns:
        return "", ""
    cell = cells[columns[key]]
    sort = re.match(r'data-sort="([^"]{0,100})">', cell)
    shown = cell[sort.end() :] if sort else cell
    return sort.group(1) if sort else "", html.unescape(shown.partition("</td>")[0].strip(" >\t\r\n"))


def _number_of(words: str) -> float | None:
    """Return the number in a text; None if the text is not a number."""
    try:
        return number(float(words))
    except ValueError:
        return None


#: Seconds by unit, as ``dask.utils.format_time`` writes them.
SECONDS = {"d": 86400, "hr": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6}


def _age_of(sort: str, shown: str) -> float | None:
    """Return the seconds in a cell; None if unreadable. Before distributed 2024.4, it has only ``3.21 s`` or ``12m 3s``."""
    if sort:
        return _number_of(sort)
    parts = re.findall(r"(-?\d+(?:\.\d+)?) ?(d|hr|ms|us|m|s)(?![a-z])", shown)
    if not parts or " ".join(re.sub(r"(?<=\d) ", "", shown).split()) != " ".join(a + b for a, b in parts):
        return None
    return sum(float(amount) * SECONDS[unit] for amount, unit in parts)


def _host_of(address: str) -> str | None:
    """Return the host of an address; None if it has none."""
    try:
        return text(urlsplit(address).hostname)
    except ValueError:
        return None


#: Name by state in ``/metrics``. Distributed 2023.7 counts paused and retiring workers together.
STATES = {"paused": "paused", "retiring": "retiring", "paused_or_retiring": "paused or retiring"}


def from_metrics(page: str) -> dict[str, int] | None:
    """Return the number of paused and retiring workers by state; None if the scheduler does not report them.

    Distributed 2022.12 does not report them. Other versions need ``prometheus-client`` to have metrics.
    """
    found = re.findall(r'^dask_scheduler_workers\{state="(\w{1,40})"\} (\d{1,9}(?:\.\d{1,3})?)\s*$', page, re.MULTILINE)
    counted = {STATES[state]: int(float(amount)) for state, amount in found if state in STATES}
    return counted if "paused or retiring" in counted or {"paused", "retiring"} <= counted.keys() else None
