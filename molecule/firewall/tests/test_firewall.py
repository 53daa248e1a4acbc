# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's effect on each port, its persistence, and its removal."""

import json
import subprocess

import pytest
from conftest import INVENTORY

PORTS = {"scheduler": [8786, 8787], "worker1": [8800, 8900]}

CONNECT = """
import socket
for address, port in {targets!r}:
    try:
        socket.create_connection((address, port), timeout=2).close()
        print(port)
    except TimeoutError:
        pass
"""


def open_to(cluster, name):
    """Return the ports of Dask and SSH that a host can connect to."""
    targets = [("worker1", 22), *((host, port) for host, ports in PORTS.items() for port in ports)]
    program = CONNECT.format(targets=[(cluster.variables[host]["ansible_host"], port) for host, port in targets])
    return set(map(int, cluster.host(name).check_output(f"python3 - <<'EOF'{program}EOF").split()))


def is_filtered(cluster, name="scheduler"):
    return cluster.host(name).run("nft list table inet daskops").succeeded


def test_only_hosts_of_the_cluster_can_connect(cluster):
    for name in [cluster.scheduler, *cluster.workers]:
        assert open_to(cluster, name) == {22, 8786, 8787, 8800, 8900}
    assert open_to(cluster, "stranger") == {22}


def test_computation(cluster):
    assert cluster.compute("print(client.submit(sum, client.map(abs, range(-100, 0))).result())") == "5050\n"


@pytest.fixture
def broken(cluster):
    """Block a port of worker2 for worker1, and leave files of another installation on worker2."""
    host, other = cluster.host("worker2"), cluster.variables["worker1"]["ansible_host"]
    files = {
        "/etc/systemd/system/my-dask.service": "[Service]\nExecStart=/opt/conda/bin/dask-worker tcp://a:8786\n",
        "/etc/dask/old.yaml": "distributed: {}\n",
    }
    for path, text in files.items():
        host.check_output("mkdir -p $(dirname %s) && printf %s > %s", path, text, path)
    host.check_output("nft add table inet blocks")
    host.check_output("nft %s", "add chain inet blocks in { type filter hook input priority -9; }")
    host.check_output(f"nft add rule inet blocks in ip saddr {other} tcp dport 8800 drop")
    yield
    host.check_output("nft delete table inet blocks; rm -r /etc/dask /etc/systemd/system/my-dask.service")


def test_doctor_finds_no_error_and_no_leftovers(play):
    run = play("doctor")
    assert run.returncode == 0 and "Examined 3 host(s)" in run.output, run.output
    assert not any(f"[{code}]" in run.output for code in ("other-unit", "system-configuration", "stray-process"))
    assert not any(run.changed.values())


def test_doctor_finds_a_blocked_port_and_leftovers(cluster, play, broken):
    run = play("doctor")
    assert run.returncode != 0 and not any(run.changed.values()), run.output
    address = cluster.variables["worker2"]["ansible_host"]
    (blocked,) = [line for line in run.output.splitlines() if line.startswith("error [")]
    assert blocked.startswith(f"error [blocked] worker1: port 8800 of worker2 ({address}): timed out. Allow the")
    assert "warning [other-unit] worker2: /etc/systemd/system/my-dask.service. Disable it" in run.output
    assert "warning [system-configuration] worker2: /etc/dask/old.yaml. Services ignore it" in run.output
    assert cluster.is_whole()


def test_limited_run_renders_the_same_rules(cluster, play):
    run = play("site", "--limit", cluster.scheduler)
    assert run.returncode == 0, run.output
    assert run.changed == {cluster.scheduler: 0}


def test_rules_of_an_earlier_version_are_taken_over(cluster, play):
    """That version stored the addresses of the cluster's hosts only in a comment of the rules."""
    host, path = cluster.host("worker1"), "/etc/dask-firewall.json"
    peers = json.loads(host.check_output(f"cat {path}"))
    comment = f"        # Hosts of the cluster: {' '.join(peers['cluster'])}"
    host.check_output("sed -i %s /etc/dask-firewall.nft", f"s|^ *# Hosts of the cluster.*|{comment}|")
    host.check_output(f"rm {path}")
    run = play("site", "--limit", "worker1")
    assert run.returncode == 0, run.output
    assert json.loads(host.check_output(f"cat {path}")) == peers
    assert is_filtered(cluster, "worker1") and open_to(cluster, "stranger") == {22}
    assert play("site", "--limit", "worker1").changed == {"worker1": 0}


def test_table_of_ports(cluster, play):
    run = play("show_ports")
    assert run.returncode == 0, run.output
    lines = [line.split() for line in run.output.splitlines()]
    for host, ports in PORTS.items():
        for port in ports:
            assert [line for line in lines if line[:2] == [host, str(port)] and line[-1].startswith("nftables")]
    assert "The cluster is" not in run.output


def test_firewall_is_opened_to_clients_removed_and_installed_again(cluster, play):
    networks = [cluster.variables[cluster.scheduler]["testbed_subnet"]]
    clients = ["-e", json.dumps({"dask_firewall_clients": networks})]
    pids = cluster.pids()
    run = play("site", *clients)
    assert run.returncode == 0, run.output
    assert open_to(cluster, "stranger") == {22, 8786, 8787, 8900}
    # Changes of the firewall restart no service.
    run = play("site", "-e", "dask_firewall=none", "--check", "--diff")
    assert run.returncode == 0 and is_filtered(cluster), run.output
    assert min(run.changed.values()) > 0
    run = play("site", "-e", "dask_firewall=none")
    assert run.returncode == 0, run.output
    assert not is_filtered(cluster)
    assert open_to(cluster, "stranger") == {22, 8786, 8787, 8800, 8900}
    assert play("site").returncode == 0
    assert is_filtered(cluster) and open_to(cluster, "stranger") == {22}
    assert cluster.pids() == pids


@pytest.fixture
def also(tmp_path):
    """Return a function that returns the scenario's inventory with more variables of hosts and members of groups."""

    def write(groups=None, **hosts):
        children = {name: {"hosts": dict.fromkeys(members, {})} for name, members in (groups or {}).items()}
        (tmp_path / "more.json").write_text(json.dumps({"all": {"hosts": hosts, "children": children}}))
        return {"inventory": [*INVENTORY, f"--inventory={tmp_path}/more.json"]}

    return write


COMPUTE = """
import ssl, urllib.request
from distributed import Client
client = Client(timeout=30)
context = ssl.create_default_context(cafile=client.security.tls_ca_file)
page = urllib.request.urlopen(client.dashboard_link, context=context, timeout=60)
print(client.scheduler.address, client.submit(sum, [20, 22]).result(), page.status, page.url)
"""


def test_clients_on_another_network(cluster, play, also):
    """The scheduler's host and a client have addresses of a second network, which workers do not have."""
    scheduler, stranger = cluster.host(cluster.scheduler), cluster.host("stranger")
    addresses = {scheduler: "172.31.252.10/24", stranger: "172.31.252.20/24"}
    variables = {"dask_client_scheduler_host": "outside.test", "dask_firewall_clients": ["172.31.252.0/24"]}
    try:
        for host, address in addresses.items():
            host.check_output(f"ip address add {address} dev eth0")
            host.check_output("echo 172.31.252.10 outside.test >>/etc/hosts")
        run = play("site", "-e", json.dumps(variables))
        assert run.returncode != 0 and not any(run.changed.values())
        assert (
            "scheduler would listen only at 172.31.251.10, but dask_client_scheduler_host (outside.test) is its address "
            "172.31.252.10. Set dask_bind_address of this host to 0.0.0.0" in run.output
        )
        outside = also({"dask_clients": ["stranger"]}, scheduler={"dask_bind_address": "0.0.0.0"})
        run = play("site", "-e", json.dumps(variables), **outside)
        assert run.returncode == 0, run.output
        assert "New certificates: scheduler (not for outside.test)" in run.output
        assert play("client", "-e", json.dumps(variables), **outside).returncode == 0
        command = f"sudo -u ops $(echo /opt/dask/environments/*/bin/python) - <<'EOF'{COMPUTE}EOF"
        assert stranger.check_output(f"cd /home/ops; {command}").split() == [
            *("tls://outside.test:8786", "42", "200", "https://outside.test:8787/status"),
        ]
        # Workers use the address of their own network.
        assert "tls://172.31.251.10:8786" in cluster.host("worker1").check_output(
            "cat /opt/dask/current/services/*.env"
        )
    finally:
        play(
            "client",
            "-e",
            "dask_client_state=absent",
            "-e",
            json.dumps(variables),
            **also({"dask_clients": ["stranger"]}),
        )
        for host, address in addresses.items():
            host.run("sed '/outside.test/d' /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts")
            host.run(f"ip address delete {address} dev eth0")
        assert play("site").returncode == 0
        assert play("client").returncode == 0  # for the account that the other tests use
    assert cluster.is_whole()


GATEWAY = """
table ip gateway {
    chain prerouting {
        type nat hook prerouting priority dstnat;
        ip daddr 172.31.251.112 tcp dport { 8800, 8900 } dnat to 172.31.251.12
    }
}
"""
CERTIFICATE = """
import socket, ssl
context = ssl.create_default_context(cafile="/opt/dask/tls/ca.pem")
connection = context.wrap_socket(socket.create_connection(("172.31.251.112", 8900)), server_hostname="172.31.251.112")
print(connection.version())
"""
EXCHANGE = """
one, two = client.map(lambda n: bytes(100_000), range(2), workers=["worker1-1"], pure=False)
print(client.submit(lambda a, b: len(a + b), one, two, workers=["worker2-1"]).result())
back = client.submit(lambda: bytes(300_000), workers=["worker2-1"], pure=False)
print(client.submit(len, back, workers=["worker1-1"]).result())
"""


HOLD = """
import os, time
held = client.submit(os.urandom, 8, workers=["worker2-1"], allow_other_workers=True)
before = held.result()
print("held", flush=True)
while client.who_has(held)[held.key][0].endswith("172.31.251.112:8800"):
    time.sleep(0.2)
print("kept" if held.result() == before else "computed again")
"""


def test_worker_behind_a_gateway(cluster, play, also):
    """The workers of worker2 listen at its own address, and a gateway, here on the same host, translates another one."""
    worker = cluster.host("worker2")
    try:
        worker.check_output("ip address add 172.31.251.112/24 dev eth0")
        worker.check_output(f"nft -f - <<'EOF'{GATEWAY}EOF")
        behind = also(worker2={"dask_worker_contact_host": "172.31.251.112"})
        run = play("site", **behind)
        assert run.returncode == 0, run.output
        assert "New certificates: workers/worker2 (not for 172.31.251.112)" in run.output
        addresses = {one["name"]: one["address"] for one in cluster.summary()["workers"]}
        assert addresses == {"worker1-1": "tls://172.31.251.11:8800", "worker2-1": "tls://172.31.251.112:8800"}
        listening = worker.check_output("ss --no-header --listening --tcp --numeric 'sport = :8800'")
        assert "172.31.251.12:8800" in listening and "172.31.251.112" not in listening
        assert cluster.compute(EXCHANGE).split() == ["200000", "300000"]
        assert cluster.get("proxy/8900/172.31.251.112/status").returncode == 0
        assert cluster.host("worker1").check_output(f"python3 - <<'EOF'{CERTIFICATE}EOF").startswith("TLS")
        # A stop drains the worker, although the scheduler knows it by another address.
        client = cluster.start(HOLD)
        assert client.stdout.readline() == "held\n", client.stderr.read()
        worker.check_output("systemctl restart dask-worker@1")
        assert client.communicate(timeout=60)[0] == "kept\n"
    finally:
        assert play("site").returncode == 0
        worker.run("nft delete table ip gateway")
        worker.run("ip address delete 172.31.251.112/24 dev eth0")
    assert {one["address"] for one in cluster.summary()["workers"]} == {f"tls://172.31.251.{n}:8800" for n in (11, 12)}


OF_WORKER2 = """
import socket
for port in (22, 8800, 8900):
    try:
        socket.create_connection(("172.31.251.12", port), timeout=2).close()
        print(port)
    except OSError:
        pass
"""


def test_ufw(cluster, play, also):
    """A host with ufw, which closes Dask's ports until the collection manages it."""
    worker = cluster.host("worker2")
    install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends ufw"

    def opened_to(name):
        return set(map(int, cluster.host(name).check_output(f"python3 - <<'EOF'{OF_WORKER2}EOF").split()))

    ufw = also(worker2={"dask_firewall": "ufw"})
    run = play("site", **ufw)
    assert run.returncode != 0 and not any(run.changed.values())
    assert "worker2: dask_firewall is ufw, but ufw is not active" in run.output
    try:
        worker.check_output(f"{install} >/dev/null 2>&1")
        worker.check_output(
            "ufw allow ssh && ufw allow proto tcp from 192.0.2.7 to any port 8800 && ufw --force enable"
        )
        assert opened_to("worker1") == {22}
        assert play("remove", "--limit", "worker2").returncode == 0
        assert not is_filtered(cluster, "worker2")
        assert worker.run("find / -xdev -name '*dask-firewall*'").stdout == ""
        # A host without an installation counts as new.
        run = play("site", "--limit", "worker2")
        assert run.returncode != 0 and not any(run.changed.values())
        assert "worker2 is new, and the firewall of scheduler, worker1 does not accept it yet" in run.output
        # On a host without services, a run says so before anything starts.
        run = play("site", "--check")
        assert "worker2: a firewall that the collection does not manage is active, ufw." in run.output
        assert "Set dask_firewall to ufw, or allow all hosts of the cluster to connect" in run.output
        run = play("site", "--diff", **ufw)
        assert run.returncode == 0, run.output
        assert "+allow proto tcp from" in run.output and "is active, ufw" not in run.output
        assert opened_to("worker1") == opened_to(cluster.scheduler) == {22, 8800, 8900}
        assert opened_to("stranger") == {22}
        assert not is_filtered(cluster, "worker2")
        assert cluster.compute(EXCHANGE).split() == ["200000", "300000"]
        assert play("site", **ufw).changed == dict.fromkeys(run.changed, 0)
        clients = [
            "-e",
            json.dumps({"dask_firewall_clients": [cluster.variables[cluster.scheduler]["testbed_subnet"]]}),
        ]
        assert play("site", *clients, **ufw).returncode == 0
        assert opened_to("stranger") == {22, 8900}
        assert play("site", "--limit", "worker2", **ufw).returncode == 0
        assert opened_to("stranger") == {22} and opened_to("worker1") == {22, 8800, 8900}
        # The rules survive a restart of ufw.
        worker.check_output("ufw reload")
        assert opened_to("worker1") == {22, 8800, 8900}
    finally:
        assert play("site").returncode == 0
        shown = worker.run("ufw status").stdout
        worker.run("ufw --force disable; DEBIAN_FRONTEND=noninteractive apt-get purge -qq ufw")
    # Rules of others stay.
    assert "daskops.cluster" not in shown and "192.0.2.7" in shown
    assert is_filtered(cluster, "worker2") and opened_to("stranger") == {22}
    assert cluster.is_whole()


def test_flushed_rules_are_loaded_again(cluster, play):
    host = cluster.host("worker1")
    host.check_output("nft flush ruleset")
    assert 8800 in open_to(cluster, "stranger")
    run = play("site")
    assert run.returncode == 0, run.output
    assert run.changed["worker1"] == 1 and run.changed["worker2"] == 0
    assert open_to(cluster, "stranger") == {22}
    # The host's own rules start with "flush ruleset".
    host.check_output("systemctl start nftables && systemctl restart dask-firewall")
    for action in ("reload", "restart"):
        host.check_output(f"systemctl {action} nftables")
        assert is_filtered(cluster, "worker1")


# The reboot also restores Docker's rules in the container.
def test_rules_are_loaded_after_a_reboot(cluster):
    container = cluster.container("worker1")
    subprocess.run(["docker", "restart", "--time=30", container], check=True, capture_output=True)
    cluster.wait_until(cluster.is_whole, 120)
    assert is_filtered(cluster, "worker1")
    assert open_to(cluster, "stranger") == {22}
