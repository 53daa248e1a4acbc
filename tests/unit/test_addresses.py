# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of a cluster's scheduler and dashboard."""

from __future__ import annotations

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import addresses

SETTINGS = {
    "home": "/opt/dask",
    "tls": True,
    "scheduler_address": "",
    "scheduler_host": "head",
    "scheduler_port": 8786,
    "scheduler_dashboard_port": 8787,
    "scheduler_dashboard_url": "",
    "dashboard_proxy": False,
    "dashboard_proxy_port": 8443,
    "dashboard_proxy_prefix": "/",
}
CA = "/opt/dask/tls/ca.pem"
PROXY = {"proxy": {"port": 8443}}


@pytest.mark.parametrize(
    ("changes", "seen", "scheduler", "url", "ca_path", "dashboard"),
    [
        ({}, {}, "tls://head:8786", "https://head:8787", CA, "https://head:8787"),
        ({"tls": False}, {}, "tcp://head:8786", "http://head:8787", "", "http://head:8787"),
        (
            {"scheduler_host": "fd00::1"},
            {},
            "tls://[fd00::1]:8786",
            "https://[fd00::1]:8787",
            CA,
            "https://[fd00::1]:8787",
        ),
        # An INI inventory gives numbers as text.
        (
            {"scheduler_port": "1", "scheduler_dashboard_port": "2"},
            {"proxy": {"port": 0}},
            "tls://head:1",
            "https://head:2",
            CA,
            "https://head:2",
        ),
        # A proxy that exists, two that this run adds, and one that this run removes.
        (
            {"dashboard_proxy": True, "dashboard_proxy_prefix": "/dask/"},
            PROXY,
            "tls://head:8786",
            "https://localhost:8787",
            CA,
            "https://head:8443/dask",
        ),
        ({"dashboard_proxy": True}, {}, "tls://head:8786", "https://localhost:8787", CA, "https://head:8443"),
        ({}, PROXY, "tls://head:8786", "https://localhost:8787", CA, "https://head:8787"),
        ({}, {"unreachable": True}, "tls://head:8786", "https://head:8787", CA, "https://head:8787"),
        # An external scheduler has Dask's default dashboard port, or a dashboard URL, which may be plain HTTP.
        (
            {"scheduler_address": "tls://[fd00::1]:9786", "scheduler_dashboard_port": 1},
            PROXY,
            "tls://[fd00::1]:9786",
            "https://[fd00::1]:8787",
            CA,
            "https://[fd00::1]:8787",
        ),
        (
            {"scheduler_address": "tls://there:1", "scheduler_dashboard_url": "http://pages:80"},
            {},
            "tls://there:1",
            "http://pages:80",
            "",
            "http://pages:80",
        ),
    ],
)
def test_addresses(changes, seen, scheduler, url, ca_path, dashboard):
    found = addresses({**SETTINGS, **changes}, seen)
    assert {name: found[name] for name in ("scheduler", "url", "ca_path", "dashboard")} == {
        "scheduler": scheduler,
        "url": url,
        "ca_path": ca_path,
        "dashboard": dashboard,
    }


@pytest.mark.parametrize(("prefix", "path"), [("/", "/"), ("/dask", "/dask/"), ("/dask/", "/dask/")])
def test_path_behind_a_proxy(prefix, path):
    assert addresses({**SETTINGS, "dashboard_proxy_prefix": prefix}, {})["proxy_path"] == path
