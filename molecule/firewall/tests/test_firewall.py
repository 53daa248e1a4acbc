# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's effect on each port, its persistence, and its removal."""

import json
import subprocess

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


def test_limited_run_renders_the_same_rules(cluster, play):
    for name in ("worker1", "scheduler"):
        run = play("site", "--limit", name)
        assert run.returncode == 0, run.output
        assert run.changed == {name: 0}


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
            assert [line for line in lines if line[:2] == [f'"{host}', str(port)] and line[-1].startswith("nftables")]
    assert "The cluster is" not in run.output


def test_clients_can_connect_to_the_scheduler_and_the_dashboards(cluster, play):
    networks = [cluster.variables[cluster.scheduler]["testbed_subnet"]]
    clients = ["-e", json.dumps({"dask_firewall_clients": networks})]
    pids = cluster.pids()
    run = play("site", *clients)
    assert run.returncode == 0, run.output
    assert open_to(cluster, "stranger") == {22, 8786, 8787, 8900}
    run = play("site", *clients)
    assert not any(run.changed.values())
    # The change restarts no service.
    assert play("site").returncode == 0
    assert open_to(cluster, "stranger") == {22}
    assert cluster.pids() == pids


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


def test_firewall_is_removed_and_installed_again(cluster, play):
    run = play("site", "-e", "dask_firewall=none", "--check", "--diff")
    assert run.returncode == 0 and is_filtered(cluster), run.output
    assert min(run.changed.values()) > 0
    run = play("site", "-e", "dask_firewall=none")
    assert run.returncode == 0, run.output
    assert not is_filtered(cluster)
    assert open_to(cluster, "stranger") == {22, 8786, 8787, 8800, 8900}
    assert play("site").returncode == 0
    assert is_filtered(cluster)


def test_new_host_in_a_limited_run_is_rejected(cluster, play):
    # A host without an installation counts as new.
    assert play("remove", "--limit", "worker2").returncode == 0
    run = play("site", "--limit", "worker2")
    assert run.returncode != 0
    assert "worker2 is new, and the firewall of scheduler, worker1 does not accept it yet" in run.output
    assert not any(run.changed.values())
    assert play("site").returncode == 0
    assert cluster.is_whole()


def test_rules_are_removed_with_the_cluster(cluster, play):
    assert play("remove").returncode == 0
    for name in [cluster.scheduler, *cluster.workers]:
        assert not is_filtered(cluster, name)
        assert cluster.host(name).run("find / -xdev -name '*dask-firewall*'").stdout == ""
