# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of the scheduler, its dashboard and its HTTP routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Dask's default port of the dashboard, for a scheduler that another system runs.
PAGES_PORT = 8787

#: The collection's site in nginx, on the scheduler's host.
PROXY_SITE = "/etc/nginx/conf.d/daskops.conf"


def host_of(url: str) -> str:
    """Return the host in the address of a scheduler or a page, without the brackets of an IPv6 address."""
    return url.partition("//")[2].partition("/")[0].rpartition(":")[0].strip("[]")


def addresses(settings: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, str]:
    """Return the addresses of a cluster.

    Parameters
    ----------
    settings : dict
        ``home`` and, by the names of the variables without ``dask_``, ``tls``, ``scheduler_address``, ``scheduler_host``,
        ``scheduler_port``, ``scheduler_dashboard_port``, ``scheduler_dashboard_url``, ``dashboard_proxy``,
        ``dashboard_proxy_port`` and ``dashboard_proxy_prefix``.
    info : dict
        Result of `host_info` for the scheduler's host. Empty if it was not inspected.

    Returns
    -------
    dict
        ``scheduler`` is the address of the scheduler. ``url`` is the base URL of its HTTP routes on its own host, and
        ``ca_path`` the file with the CA certificates for that URL, empty for HTTP without TLS. ``dashboard`` is the URL for
        browsers, without a slash at the end, and ``proxy_path`` is the path of the dashboard behind a proxy.
    """
    protocol, pages = ("tls", "https") if settings["tls"] else ("tcp", "http")
    host = settings["scheduler_host"]
    host = f"[{host}]" if ":" in host else host  # an IPv6 address
    joins, port = settings["scheduler_address"], settings["scheduler_dashboard_port"]
    scheduler = joins or f"{protocol}://{host}:{settings['scheduler_port']}"
    at = re.sub(r"^.*//|:[0-9]+$", "", scheduler)
    network = settings["scheduler_dashboard_url"] or f"{pages}://{at}:{PAGES_PORT if joins else port}"
    # Behind a proxy, the dashboard listens only on localhost. If this run removes the proxy, the dashboard still does so
    # until the scheduler is restarted.
    behind = settings["dashboard_proxy"] or (info.get("proxy") or {}).get("port", 0) > 0
    url = f"{pages}://localhost:{port}" if behind and not joins else network
    path = f"{settings['dashboard_proxy_prefix'].rstrip('/')}/"
    proxy = f"https://{host}:{settings['dashboard_proxy_port']}{path[:-1]}"
    return {
        "scheduler": scheduler,
        "url": url,
        # The dashboard of a scheduler that another system runs may use HTTP without TLS.
        "ca_path": f"{settings['home']}/tls/ca.pem" if settings["tls"] and url.startswith("https") else "",
        "dashboard": proxy if settings["dashboard_proxy"] else network,
        "proxy_path": path,
    }
