# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of a cluster's scheduler and dashboard."""

from __future__ import annotations

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import (
    addresses,
    at_host,
    host_of,
    in_url,
    is_host,
)

SETTINGS = {
    "home": "/opt/dask",
    "tls": True,
    "scheduler_address": "",
    "scheduler_host": "head",
    "client_scheduler_host": "",
    "scheduler_port": 8786,
    "scheduler_dashboard_port": 8787,
    "scheduler_dashboard_url": "",
    "dashboard_prefix": "/",
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


@pytest.mark.parametrize(
    ("changes", "client", "dashboard"),
    [
        ({}, "tls://head:8786", "https://head:8787"),
        ({"client_scheduler_host": "outside"}, "tls://outside:8786", "https://outside:8787"),
        ({"client_scheduler_host": "fd00::9", "tls": False}, "tcp://[fd00::9]:8786", "http://[fd00::9]:8787"),
        (
            {"client_scheduler_host": "outside", "dashboard_proxy": True, "dashboard_proxy_prefix": "/dask"},
            "tls://outside:8786",
            "https://outside:8443/dask",
        ),
        (
            {
                "client_scheduler_host": "outside",
                "scheduler_address": "tls://[fd00::1]:9786",
                "scheduler_dashboard_url": "http://pages:80/dask",
            },
            "tls://outside:9786",
            "http://outside:80/dask",
        ),
    ],
)
def test_clients_may_have_another_host(changes, client, dashboard):
    found = addresses({**SETTINGS, **changes}, {})
    assert (found["client"], found["dashboard"]) == (client, dashboard)
    # The hosts of the cluster do not use it.
    assert "outside" not in found["scheduler"] + found["url"]


@pytest.mark.parametrize(
    ("url", "host", "changed"),
    [
        ("tls://[fd00::1]:8786", "there", "tls://there:8786"),
        ("https://here:8787/dask", "[fd00::2]", "https://[fd00::2]:8787/dask"),
        ("https://here/dask", "there", "https://there/dask"),
        ("https://here:8787", "", "https://here:8787"),
    ],
)
def test_host_of_a_url_is_replaced(url, host, changed):
    assert at_host(url, host) == changed


@pytest.mark.parametrize("host", ["head", "10.0.0.1", "fd00::1"])
def test_host_in_a_url_is_found(host):
    assert host_of(f"tls://{in_url(host)}:8786") == host


@pytest.mark.parametrize(
    "text", ["head", "a.example.org", "node_1", "10.0.0.1", "fd00::1", "localhost", "a.", "1a", "é.org"]
)
def test_names_and_addresses_are_hosts(text):
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "head:8786",
        "[fd00::1]",
        "tls://head",
        "10.0.0",
        "10.0.0.256",
        "0.0.0.0",
        "::",
        "fe80::1%eth0",
        "fd00::1%a b",
        "224.0.0.1",
    ]
    + ["a b", "-a", "a..b", "a" * 64, "https://x", "a/b", "head$", "é" * 70],
)
def test_other_texts_are_no_hosts(text):
    assert not is_host(text)


@pytest.mark.parametrize(("prefix", "path"), [("/", "/"), ("/dask", "/dask/"), ("/dask/", "/dask/")])
def test_path_behind_a_proxy(prefix, path):
    found = addresses({**SETTINGS, "dashboard_proxy_prefix": prefix}, {})
    assert (found["path"], found["proxy_path"]) == ("/", path)


@pytest.mark.parametrize("prefix", ["/a/b", "/a/b/"])
def test_dashboard_below_a_path(prefix):
    found = addresses({**SETTINGS, "dashboard_prefix": prefix}, {})
    assert found["url"] == found["dashboard"] == "https://head:8787/a/b"
    assert (found["path"], found["proxy_path"]) == ("/a/b/", "/a/b/")
    found = addresses({**SETTINGS, "dashboard_prefix": prefix, "dashboard_proxy": True}, {})
    assert (found["url"], found["dashboard"]) == ("https://localhost:8787/a/b", "https://head:8443/a/b")
    # The scheduler of another system does not follow our variables.
    found = addresses({**SETTINGS, "dashboard_prefix": prefix, "scheduler_address": "tls://there:8786"}, {})
    assert found["url"] == "https://there:8787"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://dask.example.org", "dask.example.org"),
        ("https://dask.example.org/dask/status", "dask.example.org"),
        ("https://dask.example.org:8443/dask", "dask.example.org"),
        ("https://[fd00::1]/dask", "fd00::1"),
        ("", ""),
    ],
)
def test_host_of_a_url_with_or_without_a_port(url, host):
    assert host_of(url) == host
