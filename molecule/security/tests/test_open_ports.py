# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts listen only on the ports that `show_ports.yml` reports."""

import re
import socket


def is_open(address, port):
    with socket.socket() as sock:
        sock.settimeout(5)
        return sock.connect_ex((address, port)) == 0


def told(output):
    """Return the ports in the table by host."""
    found = {}
    for host, numbers in re.findall(r"^(\S+) +(\d[\d,-]*) ", output, re.MULTILINE):
        for first, last in (part.split("-") if "-" in part else (part, part) for part in numbers.split(",")):
            found.setdefault(host, set()).update(range(int(first), int(last) + 1))
    return found


def test_open_ports_equal_the_reported_ones(cluster, play):
    run = play("show_ports")
    assert run.returncode == 0, run.output
    ports = told(run.output)
    assert set(ports) == {cluster.scheduler, *cluster.workers}
    assert 8786 in ports["scheduler"] and {8800, 9000} <= ports["worker2"]
    for name, expected in ports.items():
        address = cluster.variables[name]["ansible_host"]
        assert {port for port in range(1, 65536) if is_open(address, port)} == expected
