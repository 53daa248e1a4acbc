# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of this host and routes to others, with IPv4 and IPv6."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import routes

INET, INET6 = socket.AF_INET, socket.AF_INET6
IS_ROOT = os.geteuid() == 0 and shutil.which("ip") and shutil.which("unshare")


@pytest.fixture
def names(monkeypatch):
    """Return a dictionary of the addresses of names, which replaces the resolver."""
    known = {}

    def getaddrinfo(name, port, **options):
        if name not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (INET6 if ":" in one else INET, 0, 0, "", (one, port, 0, 0)[: 4 if ":" in one else 2])
            for one in known[name]
        ]

    monkeypatch.setattr(routes.socket, "getaddrinfo", getaddrinfo)
    return known


def test_unresolvable_name_gives_a_reason():
    assert routes.unresolved("localhost") == ""
    for name in ("scheduler.invalid", "a..b", "x" * 70):
        assert routes.unresolved(name)
        assert routes.route(name) == routes.own_addresses(name) == []


def test_ipv4_comes_first(names):
    names["both"] = ["::1", "127.0.0.1"]
    assert [target[0] for dummy, target in routes.resolve("both")] == ["127.0.0.1", "::1"]
    assert routes.route("both") == ["127.0.0.1", "127.0.0.1"]


def test_closed_port_gives_a_reason():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        assert routes.refused("127.0.0.1", number) == ""
    assert routes.refused("127.0.0.1", number) == "Connection refused"
    assert routes.refused("scheduler.invalid", 1)


def test_addresses_for_clients_are_those_of_the_host(names, monkeypatch):
    names.update(inside=["192.0.2.1", "2001:db8::1"], here=["127.0.0.1", "10.7.7.7", "fd00::7", "::1"])
    assert routes.own_addresses("inside") == []
    monkeypatch.setattr(routes, "bound", lambda address: address)
    assert routes.own_addresses("here") == ["10.7.7.7", "fd00::7"]
    assert routes.own_addresses("nowhere") == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "0.0.0.0"])
def test_address_of_the_host_is_usable(address):
    assert routes.bound(address) == address


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "300.1.1.1", "fd00::/8", "here", "a:b"])
def test_address_of_another_host_is_not_usable(address):
    assert routes.bound(address) == ""


def link(*addresses):
    return lambda command: (0, json.dumps([{"ifname": "eth1", "addr_info": list(addresses)}]), "")


V4 = {"family": "inet", "local": "10.1.0.2", "scope": "global"}
GLOBAL = {"family": "inet6", "local": "fd00::2", "scope": "global"}
OTHERS = [
    {"family": "inet6", "local": "fe80::2", "scope": "link"},
    {"family": "inet6", "local": "fd00::aaaa", "scope": "global", "temporary": True},
    {"family": "inet6", "local": "fd00::bbbb", "scope": "global", "deprecated": True},
]


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        ([GLOBAL, V4], "10.1.0.2"),
        ([*OTHERS, GLOBAL], "fd00::2"),
        (OTHERS, ""),
        ([], ""),
        ([{"family": "inet", "local": "169.254.7.7", "scope": "link"}], "169.254.7.7"),
    ],
)
def test_interface_has_an_address(addresses, found):
    assert routes.interface_address(link(*addresses), "eth1") == found


@pytest.mark.parametrize("output", ["", "[]", "null", "[1]", '[{"addr_info": [{}]}]', '[{"addr_info": 1}]'])
def test_unreadable_list_of_addresses_is_empty(output):
    assert routes.interface_address(lambda command: (0, output, ""), "eth1") == ""


PROGRAM = """
import json, subprocess
from ansible_collections.daskops.cluster.plugins.module_utils import routes

def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr

both = [(routes.socket.AF_INET, ("10.9.9.1", 9)), (routes.socket.AF_INET6, ("fd09::1", 9, 0, 0))]
answers = {name: routes.route(name) for name in ("fd09::1", "fe80::1%eth9", "10.9.9.1")}
answers["bound"] = [routes.bound(address) for address in ("fd09:0::2", "::", "fd09::3")]
answers["interface"] = routes.interface_address(run, "eth9")
routes.resolve = lambda name: both
answers["both"] = routes.route("both")
print(json.dumps(answers))
"""


@pytest.mark.skipif(not IS_ROOT, reason="creating networks needs root, iproute2 and util-linux")
def test_host_with_ipv6_only_uses_ipv6():
    setup = (
        "ip link add eth9 type veth peer name eth8 && ip link set lo up && ip link set eth8 up"
        " && ip -6 address add fd09::2/64 dev eth9 nodad && ip link set eth9 up && sleep 2"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(routes.__file__).parents[5])}
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{setup} && exec "$0" -c "$1"', sys.executable, PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "fd09::1": ["fd09::2", "fd09::1"],
        "fe80::1%eth9": [],
        "10.9.9.1": [],
        "bound": ["fd09::2", "::", ""],
        "interface": "fd09::2",
        "both": ["fd09::2", "fd09::1"],
    }
