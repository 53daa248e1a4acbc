# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of the scheduler, its dashboard and its HTTP routes, for hosts of the cluster and for clients."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

#: Dask's default port of the dashboard, for a scheduler that another system runs.
PAGES_PORT = 8787

#: Addresses that mean all addresses of a host, of IPv4 and of IPv6.
WILDCARDS = ("0.0.0.0", "::")

#: The collection's site in nginx, on the scheduler's host.
PROXY_SITE = "/etc/nginx/conf.d/daskops.conf"


HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")


def is_host(text: object) -> bool:
    """Return whether a text is the name or the address of a host, which others can connect to, without brackets."""
    try:
        address = ipaddress.ip_address(str(text))
    except ValueError:
        try:
            name = str(text).encode("idna").decode()
        except UnicodeError:
            return False
        # Digits and dots alone are a wrong address.
        return bool(HOST_NAME.fullmatch(name)) and not re.fullmatch(r"[\d.]+", name)
    # Python accepts any text after a % as the scope of an IPv6 address.
    return not (address.is_unspecified or address.is_link_local or address.is_multicast or "%" in str(text))


def in_url(host: str) -> str:
    """Return a host as in a URL or in an address of Dask: an IPv6 address has brackets there."""
    return f"[{host}]" if ":" in host else host


def host_of(url: str) -> str:
    """Return the host in the address of a scheduler or a page, without the brackets of an IPv6 address."""
    netloc = urlsplit(url).netloc
    return netloc[1:].partition("]")[0] if netloc.startswith("[") else netloc.partition(":")[0]


def at_host(url: str, host: str) -> str:
    """Return a URL or an address with another host; the same if ``host`` is empty."""
    parts = urlsplit(url)
    port = parts.netloc.rpartition("]")[2].partition(":")[1:]
    return parts._replace(netloc=host + "".join(port)).geturl() if host else url


def addresses(settings: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, str]:
    """Return the addresses of a cluster.

    Parameters
    ----------
    settings : dict
        ``home`` and, by the names of the variables without ``dask_``, ``tls``, ``scheduler_address``, ``scheduler_host``,
        ``client_scheduler_host``, ``scheduler_port``, ``scheduler_dashboard_port``, ``scheduler_dashboard_url``,
        ``dashboard_prefix``, ``dashboard_proxy``, ``dashboard_proxy_port`` and ``dashboard_proxy_prefix``.
    info : dict
        Result of `host_info` for the scheduler's host. Empty if it was not inspected.

    Returns
    -------
    dict
        ``scheduler`` is the address of the scheduler for workers, and ``client`` its address for clients. ``url`` is the
        base URL of its HTTP routes on its own host, and ``ca_path`` the file with the CA certificates for that URL, empty
        for HTTP without TLS. ``dashboard`` is the URL for browsers, without a slash at the end. ``path`` is the path of the
        dashboard on the scheduler's own port, and ``proxy_path`` is its path behind a proxy.
    """
    protocol, pages = ("tls", "https") if settings["tls"] else ("tcp", "http")
    host, client = in_url(settings["scheduler_host"]), in_url(settings["client_scheduler_host"])
    joins, port = settings["scheduler_address"], settings["scheduler_dashboard_port"]
    scheduler = joins or f"{protocol}://{host}:{settings['scheduler_port']}"
    at = re.sub(r"^.*//|:[0-9]+$", "", scheduler)
    # A scheduler that another system runs has its own URL.
    path = "" if joins else settings["dashboard_prefix"].rstrip("/")
    network = settings["scheduler_dashboard_url"] or f"{pages}://{at}:{PAGES_PORT if joins else port}{path}"
    # Behind a proxy, the dashboard listens only on localhost. If this run removes the proxy, the dashboard still does so
    # until the scheduler is restarted.
    behind = settings["dashboard_proxy"] or (info.get("proxy") or {}).get("port", 0) > 0
    url = f"{pages}://localhost:{port}{path}" if behind and not joins else network
    proxy_path = path or settings["dashboard_proxy_prefix"].rstrip("/")
    proxy = f"https://{client or host}:{settings['dashboard_proxy_port']}{proxy_path}"
    return {
        "scheduler": scheduler,
        "client": at_host(scheduler, client),
        "url": url,
        # The dashboard of a scheduler that another system runs may use HTTP without TLS.
        "ca_path": f"{settings['home']}/tls/ca.pem" if settings["tls"] and url.startswith("https") else "",
        "dashboard": proxy if settings["dashboard_proxy"] else at_host(network, client),
        "path": f"{path}/",
        "proxy_path": f"{proxy_path}/",
    }
