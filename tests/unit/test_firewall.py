# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses that the firewall accepts, and the rendered rules in a real kernel."""

import contextlib
import ipaddress
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jinja2
import pytest
from ansible.plugins.filter.core import FilterModule as AnsibleFilters
from ansible_collections.daskops.cluster.plugins.module_utils import firewalls
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import foreign_firewalls
from ansible_collections.daskops.cluster.plugins.modules import inspect_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import firewall
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import firewall as firewall_problems
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import describe
from hypothesis import given
from hypothesis import strategies as st
from sentences import only, says

TEMPLATES = Path(__file__).parents[2] / "roles/firewall/templates"
HOSTS = {
    "s1": {
        "address": "10.9.0.1",
        "route": ["10.9.0.1", "10.9.0.1"],
        "worker_addresses": {},
        "current": {"id": "r"},
        "firewall": {"usable": ["nftables"], "cluster": []},
    },
    "w1": {
        "address": "10.9.0.2",
        "route": ["10.9.0.2", "10.9.0.1"],
        "worker_addresses": {},
        "current": {"id": "r"},
        "firewall": {"usable": ["nftables"], "cluster": []},
    },
}


def plan(hosts=HOSTS, others=(), contacts=(), closed=(), peers=(), clients=(), monitors=()):
    *looked_up, of_monitors = [
        {host: lambda addresses=addresses: addresses for host, addresses in dict(some).items()}
        for some in (others, contacts, monitors)
    ]
    return firewall.networks(hosts, *looked_up, list(closed), list(peers), list(clients), of_monitors)


def host(name, **changes):
    """Return `HOSTS` with one host changed."""
    return {**HOSTS, name: {**HOSTS.get(name, HOSTS["w1"]), **changes}}


# Accepted addresses

networks = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda n: ipaddress.IPv4Network(n, strict=False)),
        st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
            lambda n: ipaddress.IPv6Network(n, strict=False)
        ),
    )
)


@given(networks)
def test_networks_by_family_are_complete_and_do_not_overlap(given):
    found = firewall.by_family(given)
    for version, texts in ((4, found["ipv4"]), (6, found["ipv6"])):
        parsed = [ipaddress.ip_network(text) for text in texts]
        assert all(network.version == version for network in parsed)
        assert all(
            any(network.subnet_of(one) for one in parsed) for network in given if network.version == version
        )  # nftables rejects a set with overlapping intervals
        assert not any(one.overlaps(other) for one in parsed for other in parsed if one is not other)


def test_all_hosts_of_the_cluster_are_accepted():
    found, problems = plan(others={"w2": ["10.9.0.3", "fd00::3"]}, peers=["10.8.0.0/16"], clients=["0.0.0.0/0"])
    assert problems == []
    networks = {"ipv4": ["10.8.0.0/16", "10.9.0.1/32", "10.9.0.2/31"], "ipv6": ["fd00::3/128"]}
    assert found == {
        "cluster": {"s1": networks, "w1": networks},
        "clients": {"ipv4": ["0.0.0.0/0"], "ipv6": []},
    }


def test_gateways_of_hosts_are_accepted():
    found, problems = plan(contacts={"w1": ["192.0.2.7"]})
    assert problems == [] and found["cluster"]["s1"]["ipv4"] == ["10.9.0.1/32", "10.9.0.2/32", "192.0.2.7/32"]
    assert "w1: the controller cannot resolve dask_worker_contact_host" in only(plan(contacts={"w1": []})[1])


def test_monitoring_hosts_are_clients():
    found, problems = plan(clients=["10.1.0.0/16"], monitors={"m1": ["10.2.0.1"]})
    assert (found["clients"]["ipv4"], problems) == (["10.1.0.0/16", "10.2.0.1/32"], [])
    assert only(plan(monitors={"m1": ["127.0.0.1"]})[1]) == (
        "m1 is in the group dask_monitoring, and the controller cannot resolve its address for the firewall. Set its "
        "ansible_host to an address."
    )


def test_loopback_addresses_are_not_accepted():
    # Debian maps a host's own name to 127.0.1.1. The scheduler's address then comes from the worker's route to it.
    found, problems = plan(host("s1", address="127.0.0.1", route=["127.0.0.1", "127.0.1.1"]))
    assert (found["cluster"]["s1"]["ipv4"], problems) == (["10.9.0.1/32", "10.9.0.2/32"], [])


def test_listening_and_source_addresses_of_a_host_are_accepted():
    found, problems = plan(host("w1", address="10.7.0.2", worker_addresses={"eth1": "10.8.0.2"}))
    expected = ["10.7.0.2/32", "10.8.0.2/32", "10.9.0.1/32", "10.9.0.2/32"]
    assert (found["cluster"]["s1"]["ipv4"], problems) == (expected, [])


def remembering(*networks):
    return {"usable": ["nftables"], "cluster": list(networks)}


def test_remembered_networks_replace_addresses_known_to_the_controller():
    hosts = {name: {**about, "firewall": remembering("10.9.0.2/31", "fd00::3/128")} for name, about in HOSTS.items()}
    # The other hosts' addresses for Ansible are not used, and a missing one is no problem.
    found, problems = plan(hosts, others={"w2": ["192.168.0.3"], "w3": []})
    assert problems == []
    assert found["cluster"]["w1"] == {"ipv4": ["10.9.0.1/32", "10.9.0.2/31"], "ipv6": ["fd00::3/128"]}
    # A run for all hosts drops hosts that left the cluster.
    assert plan(hosts)[0]["cluster"]["w1"] == {"ipv4": ["10.9.0.1/32", "10.9.0.2/32"], "ipv6": []}


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "192.0.2.1/32"])
def test_remembered_networks_apply_to_their_host_only(network):
    hosts = host("w1", firewall=remembering(network))
    found, problems = plan(hosts, others={"w2": ["10.9.0.3"]})
    assert problems == []
    assert found["cluster"]["s1"] == plan(others={"w2": ["10.9.0.3"]})[0]["cluster"]["s1"]
    assert network in [*found["cluster"]["w1"]["ipv4"], *found["cluster"]["w1"]["ipv6"]]
    # A run for all hosts ignores remembered networks.
    assert plan(hosts)[0] == plan()[0]


def test_invalid_remembered_networks_are_ignored():
    hosts = {name: {**about, "firewall": remembering("10.9.0.300/32")} for name, about in HOSTS.items()}
    assert plan(hosts, others={"w2": ["10.9.0.3"]}) == plan(others={"w2": ["10.9.0.3"]})


def test_host_without_a_firewall_needs_no_addresses():
    hosts = {name: {**about, "firewall": {"usable": [], "cluster": []}} for name, about in HOSTS.items()}
    assert plan(hosts, others={"w2": []})[1] == []


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_address_that_no_host_has_is_not_accepted(address):
    assert plan(host("w1", address=address))[0]["cluster"]["w1"]["ipv4"] == ["10.9.0.1/32", "10.9.0.2/32"]


@pytest.mark.parametrize("variable", ["peers", "clients"])
@pytest.mark.parametrize("value", ["laptop.example.org", "10.1.2.3/16", "10.1", "", "*"])
def test_invalid_network_is_rejected(variable, value):
    sentence = only(plan(**{variable: [value]})[1])
    assert says(
        sentence, f"dask_firewall_{variable}: '{value}' is not an address or a network", "Write it like 10.1.2.3"
    )


@pytest.mark.parametrize("addresses", [[], ["127.0.1.1", "::1"]])
def test_unknown_address_of_a_host_outside_the_run_is_rejected(addresses):
    sentence = only(plan(others={"w7": addresses})[1])
    assert says(sentence, "w7 is not in this run", "Run without --limit, or set its ansible_host")


def test_new_host_in_a_limited_run_is_rejected():
    hosts = {"w9": {**HOSTS["w1"], "address": "10.9.0.9", "route": ["10.9.0.9", "10.9.0.1"], "current": {}}}
    assert plan(hosts)[1] == []
    assert plan(hosts, closed=["s1", "w1"], peers=["10.9.0.0/24"])[1] == []
    sentence = only(plan(hosts, closed=["s1", "w1"])[1])
    assert says(sentence, "w9 is new, and the firewall of s1, w1 does not accept it yet", "Run without --limit")


# Firewalls available on a host


@pytest.mark.parametrize(
    ("wanted", "usable"),
    [
        ("none", []),
        ("nftables", ["nftables"]),
        ("nftables", ["nftables", "ufw"]),  # with a warning, because ufw closes ports, too
        ("firewalld", ["firewalld"]),
        ("firewalld", ["nftables", "firewalld"]),
        ("ufw", ["nftables", "ufw"]),
    ],
)
def test_usable_firewall_is_accepted(wanted, usable):
    assert list(firewall_problems("w1", {"firewall": {"usable": usable}}, wanted)) == []


@pytest.mark.parametrize(
    ("wanted", "usable", "remedy"),
    [
        ("nftables", [], "Install the package nftables, or set dask_firewall to none"),
        ("nftables", ["nftables", "firewalld"], "Set dask_firewall to firewalld, or stop and disable firewalld"),
        ("firewalld", [], "Install and start it, or set dask_firewall to nftables"),
        ("firewalld", ["nftables"], "Install and start it, or set dask_firewall to nftables"),
        ("ufw", ["nftables"], "Run ufw allow ssh, ufw default deny incoming and ufw enable, or set dask_firewall"),
    ],
)
def test_unusable_firewall_is_rejected_with_the_remedy(wanted, usable, remedy):
    sentence = only(firewall_problems("w1", {"firewall": {"usable": usable}}, wanted))
    assert says(sentence, f"w1: dask_firewall is {wanted}, but", remedy)


# Rules

PORTS = [
    describe(8786, "dask_scheduler_port", "dask-scheduler.service"),
    describe(8800, "dask_worker_port", "dask-worker@1.service"),
    describe(8900, "dask_worker_dashboard_port", "dask-worker@1.service"),
]
OTHER_PORT = 2222  # a port of another service, such as sshd


def rendered(template, **networks):
    """Return the template rendered for a host with all these ports."""
    found, problems = plan(**networks)
    assert problems == []
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(AnsibleFilters().filters())
    text = environment.from_string((TEMPLATES / template).read_text())
    about = {"ports": PORTS, "networks": {"cluster": found["cluster"]["w1"], "clients": found["clients"]}}
    return text.render(inventory_hostname="w1", __dask_plan={"hosts": {"w1": about}})


SERVER = """
import selectors, socket, sys
listening = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    listening.register(socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True), 1)
print("ready", flush=True)
connections = []
while True:
    for key, _ in listening.select():
        if key.fileobj not in connections:
            connections.append(key.fileobj.accept()[0])
            listening.register(connections[-1], 1)
        elif word := key.fileobj.recv(10):
            key.fileobj.send(word)
        else:
            listening.unregister(key.fileobj)
"""

CONNECT = """
import socket, sys
source, target, *ports = sys.argv[1:]
for port in ports:
    try:
        socket.create_connection((target, port), timeout=1, source_address=(source, 0)).close()
        print(port)
    except TimeoutError:
        pass
"""

STAY = """
import socket, sys
connection = socket.create_connection(("10.9.0.1", 8800), timeout=5, source_address=("10.9.0.4", 0))
for word in (b"before", b"after"):
    connection.send(word)
    print(connection.recv(10).decode(), flush=True)
    sys.stdin.readline()
"""


class Network:
    """Two network namespaces connected by a cable: a host with servers on Dask's ports and one other port, and a client
    machine with several addresses.
    """

    def __init__(self, stack):
        self.stack = stack
        self.host, self.peer = self.namespace(), self.namespace()
        self.run(self.host, "ip", "link", "add", "cable", "type", "veth", "peer", "cable", "netns", str(self.peer))
        for namespace, numbers in ((self.host, [1]), (self.peer, [2, 3, 4])):
            self.run(namespace, "ip", "link", "set", "lo", "up")
            self.run(namespace, "ip", "link", "set", "cable", "up")
            for number in numbers:
                self.run(namespace, "ip", "address", "add", f"10.9.0.{number}/24", "dev", "cable")
                self.run(namespace, "ip", "address", "add", f"fd00::{number}/64", "dev", "cable", "nodad")
        ports = [str(port["port"]) for port in PORTS] + [str(OTHER_PORT)]
        server = self.start(self.host, sys.executable, "-c", SERVER, *ports)
        assert server.stdout.readline() == "ready\n"

    def started(self, command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.stack.callback(process.communicate)
        self.stack.callback(process.kill)
        return process

    def namespace(self):
        """Return the pid of a process with its own network namespace."""
        process = self.started(["unshare", "--net", "sh", "-c", "echo made; exec sleep 600"])
        assert process.stdout.readline() == "made\n"
        return process.pid

    def start(self, namespace, *command):
        return self.started(["nsenter", f"--net=/proc/{namespace}/ns/net", *command])

    def run(self, namespace, *command, text=None):
        command = ["nsenter", f"--net=/proc/{namespace}/ns/net", *command]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def load(self, rules):
        self.run(self.host, "nft", "-f", "-", text=rules)

    def open_to(self, source, target):
        """Return the ports that a source address can connect to."""
        ports = [str(port["port"]) for port in PORTS] + [str(OTHER_PORT)]
        namespace = self.host if source == target else self.peer
        return set(map(int, self.run(namespace, sys.executable, "-c", CONNECT, source, target, *ports).split()))


@pytest.fixture
def network():
    if os.geteuid() != 0 or not all(shutil.which(program) for program in ("nft", "ip", "unshare", "nsenter")):
        pytest.skip("creating networks needs root, nftables, iproute2 and util-linux")
    with contextlib.ExitStack() as stack:
        yield Network(stack)


ALL = {8786, 8800, 8900, OTHER_PORT}


def test_rules_accept_only_the_given_addresses(network):
    assert network.open_to("10.9.0.4", "10.9.0.1") == ALL
    # The IPv4 host comes from the inventory, the IPv6 host from dask_firewall_peers.
    network.load(rendered("dask-firewall.nft.j2", peers=["fd00::2"], clients=["10.9.0.3", "fd00::3/128"]))
    for subnet in ("10.9.0.", "fd00::"):
        host = f"{subnet}1"
        assert network.open_to(f"{subnet}2", host) == ALL, "a host of the cluster"
        assert network.open_to(f"{subnet}3", host) == {8786, 8900, OTHER_PORT}, "a client"
        assert network.open_to(f"{subnet}4", host) == {OTHER_PORT}, "another machine"
        assert network.open_to(host, host) == ALL, "the host itself"


def test_closing_rules_of_another_firewall_are_detected(network, monkeypatch, tmp_path):
    monkeypatch.setattr(firewalls, "UFW", str(tmp_path / "none"))
    monkeypatch.setattr(firewalls, "LEGACY_TABLES", ())

    def noticed():
        done = [(0, network.run(network.host, "nft", "--terse", "list", "ruleset"), "")]
        return foreign_firewalls(lambda command: done[0] if "ruleset" in command else (1, "", ""), shutil.which)

    network.load(rendered("dask-firewall.nft.j2", peers=["10.9.0.2"]))
    assert noticed() == [] and network.open_to("10.9.0.2", "10.9.0.1") == ALL
    network.load(
        "table inet theirs { chain in { type filter hook input priority 10; tcp dport 22 accept; counter reject; }; }"
    )
    assert noticed() == ["nftables (table inet theirs, chain in)"]
    network.run(network.host, "nft", "delete", "table", "inet", "theirs")
    network.load("table ip theirs { chain in { type filter hook input priority 10; policy drop; }; }")
    assert noticed() == ["nftables (table ip theirs, chain in)"] and network.open_to("10.9.0.2", "10.9.0.1") == set()


def test_rules_without_clients_accept_only_the_cluster(network):
    network.load(rendered("dask-firewall.nft.j2"))
    assert network.open_to("10.9.0.2", "10.9.0.1") == ALL
    assert network.open_to("10.9.0.3", "10.9.0.1") == {OTHER_PORT}
    assert network.open_to("fd00::2", "fd00::1") == {OTHER_PORT}


def test_rules_can_accept_clients_from_everywhere(network):
    network.load(rendered("dask-firewall.nft.j2", clients=["0.0.0.0/0", "::/0"]))
    for source, host in (("10.9.0.4", "10.9.0.1"), ("fd00::4", "fd00::1")):
        assert network.open_to(source, host) == {8786, 8900, OTHER_PORT}


def test_existing_connections_stay_open(network):
    stranger = network.start(network.peer, sys.executable, "-c", STAY)
    assert stranger.stdout.readline() == "before\n"
    network.load(rendered("dask-firewall.nft.j2"))
    assert network.open_to("10.9.0.4", "10.9.0.1") == {OTHER_PORT}
    stranger.stdin.write("\n")
    stranger.stdin.flush()
    assert stranger.stdout.readline() == "after\n"


def test_rules_replace_only_their_own_table(network):
    network.load("table inet somebodys { chain input { type filter hook input priority 0; tcp dport 2222 accept; }; }")
    somebodys = network.run(network.host, "nft", "list", "table", "inet", "somebodys")
    rules = rendered("dask-firewall.nft.j2", clients=["10.9.0.3"])
    network.load(rules)
    once = network.run(network.host, "nft", "list", "table", "inet", "daskops")
    network.load(rendered("dask-firewall.nft.j2"))
    network.load(rules)
    assert network.run(network.host, "nft", "list", "table", "inet", "daskops") == once
    assert network.run(network.host, "nft", "list", "table", "inet", "somebodys") == somebodys


def test_written_peers_are_read_by_inspect_host(tmp_path, monkeypatch):
    path = tmp_path / "dask-firewall.json"
    path.write_text(rendered("dask-firewall.json.j2", others={"w2": ["fd00::2"]}, clients=["10.9.3.0/24"]))
    monkeypatch.setattr(inspect_host, "FIREWALL_PEERS", str(path))
    assert inspect_host.firewall_peers() == ["10.9.0.1/32", "10.9.0.2/32", "fd00::2/128"]


def test_firewalld_policy_has_the_same_rules():
    policy = ElementTree.fromstring(
        rendered("daskops.xml.j2", others={"w2": ["fd00::2"]}, clients=["10.9.3.0/24", "::/0"])
    )
    assert int(policy.get("priority")) < 0  # a negative priority is evaluated before the zones
    accepted, dropped = {}, set()
    for rule in policy.findall("rule"):
        port = int(rule.find("port").get("port"))
        if rule.find("accept") is not None:
            accepted.setdefault(port, []).append((rule.get("family"), rule.find("source").get("address")))
            assert rule.get("priority") is None
        else:
            assert rule.find("drop") is not None and rule.find("source") is None
            assert rule.get("priority") == "1"  # after the rules that accept
            dropped.add(port)
    cluster = {("ipv4", "10.9.0.1/32"), ("ipv4", "10.9.0.2/32"), ("ipv6", "fd00::2/128")}
    everybody = cluster | {("ipv4", "10.9.3.0/24"), ("ipv6", "::/0")}
    assert {port: set(found) for port, found in accepted.items()} == {8786: everybody, 8800: cluster, 8900: everybody}
    assert dropped == {port["port"] for port in PORTS}
