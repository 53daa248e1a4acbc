# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections and packets to other hosts, with real sockets."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import connections
from ansible_collections.daskops.cluster.plugins.module_utils.connections import (
    addresses_of,
    connect_all,
    names_of,
)
from conftest import ROOT, free_port


@contextlib.contextmanager
def full_listener():
    """Return the port of a listener whose queue is full, so that Linux drops further attempts, like many firewalls."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for dummy in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()[1]


def test_results_of_connections():
    with socket.create_server(("127.0.0.1", 0)) as server, full_listener() as full:
        port = server.getsockname()[1]
        targets = [("127.0.0.1", port), ("127.0.0.1", free_port()), ("127.0.0.1", full), ("127.0.0.1", 99999)]
        started = time.monotonic()
        found = connect_all([*targets, ("no address", 1), ("127.0.0.1", port)], timeout=0.5)
        assert time.monotonic() - started < 5
    assert found[:3] == ["open", "refused", "timed out"]
    assert found[5] == "open" and all(found[number] and found[number] != "open" for number in (3, 4))


def test_more_connections_than_at_once(monkeypatch):
    monkeypatch.setattr(connections, "AT_ONCE", 3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert connect_all([("127.0.0.1", server.getsockname()[1])] * 8) == ["open"] * 8
    assert connect_all([]) == []


# Sizes of packets, in network namespaces of their own

#: Two namespaces with a link whose other end (10.9.0.2) transports smaller packets. Prints the results as JSON.
SIZES = r"""
import json, subprocess, sys, time
from pathlib import Path
from ansible_collections.daskops.cluster.plugins.module_utils.connections import path_mtus

def run(command, *words):
    subprocess.run([*command.split(), *words], check=True)

run("ip link set lo up")
if sys.argv[1]:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text(sys.argv[1])
other = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
try:
    while Path(f"/proc/{other.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        time.sleep(0.01)
    inside = f"nsenter --target {other.pid} --net"
    run("ip link add name near mtu 1500 type veth peer name far mtu 1400")
    run(f"ip link set far netns {other.pid}")
    run("ip address add 10.9.0.1/24 dev near")
    run("ip link set near up")
    run(f"{inside} ip address add 10.9.0.2/24 dev far")
    run(f"{inside} ip link set far up")
    while not path_mtus({"10.9.0.2": 576}, 0.3)["10.9.0.2"]:  # the link takes a moment
        pass
    answers = {"10.9.0.2": 1500, "127.0.0.1": 9000, "10.9.0.3": 1500, "::1": 9000}
    print(json.dumps([path_mtus(answers, 0.3), path_mtus({"10.9.0.2": 1400}, 0.3), path_mtus({}, 0.3)]))
finally:
    other.kill()
"""


@pytest.fixture
def namespace():
    """Return the command that runs another one in new namespaces, or skip the test if this account may not make them."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    done = subprocess.run([*command, "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"namespaces cannot be made here: {done.stderr}")
    return command


@pytest.mark.parametrize("groups", ["0 0", ""], ids=["permitted", "default"])
def test_largest_packet_that_comes_back(namespace, groups):
    """With the kernel's default, no group may send echo requests, and root uses a raw socket."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    command = [*namespace, sys.executable, "-c", SIZES, groups]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lost, fits, nothing = json.loads(done.stdout)
    assert lost == {"10.9.0.2": 1400, "127.0.0.1": 9000, "10.9.0.3": 0, "::1": 9000}
    assert fits == {"10.9.0.2": 1400} and nothing == {}


def test_account_that_may_not_send_packets(namespace):
    """No group may send echo requests in a new namespace, and root has no permission for raw sockets."""
    script = (
        "from ansible_collections.daskops.cluster.plugins.module_utils.connections import echoes\nechoes({'::1': 64})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    command = [*namespace, "setpriv", "--bounding-set=-net_raw", sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode and "PermissionError" in done.stderr


def test_names_and_addresses():
    found = addresses_of(["localhost", "no-such-host.invalid", "a" * 300])
    assert set(found["localhost"]) & {"127.0.0.1", "::1"}
    assert found["no-such-host.invalid"] == [] and found["a" * 300] == []
    assert names_of(["127.0.0.1", "192.0.2.1", "wrong"]).keys() == {"127.0.0.1", "192.0.2.1", "wrong"}
    assert names_of(["127.0.0.1"])["127.0.0.1"] and names_of(["192.0.2.1"])["192.0.2.1"] == ""


def test_lookups_are_bounded_in_time():
    assert names_of(["127.0.0.1", "127.0.0.2"], seconds=-1).keys() == {"127.0.0.1"}
    assert addresses_of(["localhost", "no-such-host.invalid"], seconds=-1).keys() == {"localhost"}
