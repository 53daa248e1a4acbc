# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scheduler, its pages and its routes are reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Port of the pages of a scheduler that somebody else runs, where nothing else is said: Dask's own.
PAGES_PORT = 8787

#: The collection's site in nginx, on the scheduler's host.
PROXY_SITE = "/etc/nginx/conf.d/daskops.conf"


def host_of(url: str) -> str:
    """The host in the address of a scheduler or a page, without the brackets of an IPv6 address."""
    return url.partition("//")[2].partition("/")[0].rpartition(":")[0].strip("[]")


def addresses(settings: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, str]:
    """The addresses of a cluster.

    Parameters
    ----------
    settings : dict
        ``home`` and, by the names of the variables without ``dask_``, ``tls``, ``scheduler_address``, ``scheduler_host``,
        ``scheduler_port``, ``scheduler_dashboard_port``, ``scheduler_dashboard_url``, ``dashboard_proxy``,
        ``dashboard_proxy_port`` and ``dashboard_proxy_prefix``.
    info : dict
        What `host_info` returned for the scheduler's host; empty if it was not looked at.

    Returns
    -------
    dict
        ``scheduler``, the address of Dask; ``url``, where the collection asks the scheduler, from its own host; ``ca_path``,
        the certificates that it trusts for that, empty for plain HTTP; ``dashboard``, what people open, without a slash at
        the end; and ``proxy_path``, the path of the dashboard behind a proxy.
    """
    protocol, pages = ("tls", "https") if settings["tls"] else ("tcp", "http")
    host = settings["scheduler_host"]
    host = f"[{host}]" if ":" in host else host  # an IPv6 address
    joins, port = settings["scheduler_address"], settings["scheduler_dashboard_port"]
    scheduler = joins or f"{protocol}://{host}:{settings['scheduler_port']}"
    at = re.sub(r"^.*//|:[0-9]+$", "", scheduler)
    network = settings["scheduler_dashboard_url"] or f"{pages}://{at}:{PAGES_PORT if joins else port}"
    # Behind a proxy the pages listen on their own host alone; where the proxy is to go, they do so until the scheduler is
    # restarted.
    behind = settings["dashboard_proxy"] or (info.get("proxy") or {}).get("port", 0) > 0
    url = f"{pages}://localhost:{port}" if behind and not joins else network
    path = f"{settings['dashboard_proxy_prefix'].rstrip('/')}/"
    proxy = f"https://{host}:{settings['dashboard_proxy_port']}{path[:-1]}"
    return {
        "scheduler": scheduler,
        "url": url,
        # A scheduler that somebody else runs may have pages in plain HTTP.
        "ca_path": f"{settings['home']}/tls/ca.pem" if settings["tls"] and url.startswith("https") else "",
        "dashboard": proxy if settings["dashboard_proxy"] else network,
        "proxy_path": path,
    }
