# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that listen at IPv6 addresses."""

import json
import os
import socket
import subprocess
import sys

import pytest
from conftest import RUNTIME, free_port, wait_until
from daskops_runtime import ipv6
from distributed import Client, utils

HERE = "::1"
ROUTES = ["daskops_runtime.summary", "daskops_runtime.worker_proxy", "distributed.http.health"]


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        ("[fd00::1]:8787", [("fd00::1", 8787)]),
        ("127.0.0.1:8787,[fd00::1]:8787", [("127.0.0.1", 8787), ("fd00::1", 8787)]),
        ("[::]:0", [("::", 0)]),
        ("[::ffff:10.0.0.1]:1", [("::ffff:10.0.0.1", 1)]),
    ],
)
def test_ipv6_addresses_are_read(addresses, found):
    assert [(one["address"], one["port"]) for one in ipv6.clean_dashboard_address(addresses)] == found


@pytest.mark.parametrize("addresses", [8787, ":8787", "8787", "foo:8787", [8787, 8887], ":8787,:8887", "127.0.0.1:0"])
def test_other_addresses_are_read_as_by_dask(addresses):
    assert ipv6.clean_dashboard_address(addresses) == utils.clean_dashboard_address(addresses)


def test_wrong_address_is_an_error():
    with pytest.raises(ValueError):
        ipv6.clean_dashboard_address("[fd00::1]:8787,fd00::1:8787")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind((HERE, 0))
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("nanny", [False, True])
def test_cluster_at_ipv6_addresses(tmp_path, nanny):
    """The programs are started as run.sh starts them."""
    ports = [free_port() for dummy in range(5)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(RUNTIME),
        "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['daskops_runtime.scheduler']",
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": str(ROUTES),
        "DASK_DISTRIBUTED__WORKER__PRELOAD": "['daskops_runtime.worker']",
    }

    def start(module, *arguments):
        launch = [sys.executable, f"{RUNTIME}/daskops_runtime/launch.py", f"distributed.cli.{module}"]
        return subprocess.Popen([*launch, *map(str, arguments), "--no-dashboard"], env=environment, cwd=tmp_path)

    def get(page):
        command = ["curl", "-sf", "--globoff", f"http://[{HERE}]:{ports[1]}/{page}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    pages = f"127.0.0.1:{ports[1]},[{HERE}]:{ports[1]}"
    processes = [start("dask_scheduler", "--host", f"[{HERE}]", "--port", ports[0], "--dashboard-address", pages)]
    try:
        supervised = ["--nanny", "--nanny-port", ports[4]] if nanny else ["--no-nanny"]
        listening = ["--host", f"[{HERE}]", "--worker-port", ports[2], "--dashboard-address", f"[{HERE}]:{ports[3]}"]
        address = f"tcp://[{HERE}]:{ports[0]}"
        processes.append(start("dask_worker", address, *listening, *supervised, "--name", "w1", "--nthreads", 1))
        wait_until(lambda: json.loads(get("daskops/summary.json") or '{"workers": []}')["workers"])
        (worker,) = json.loads(get("daskops/summary.json"))["workers"]
        assert (worker["host"], worker["dashboard_port"]) == (HERE, ports[3])
        assert worker["address"] == f"tcp://[{HERE}]:{ports[2]}"
        assert worker["nanny"] == (f"tcp://[{HERE}]:{ports[4]}" if nanny else None)
        assert get(f"proxy/{ports[3]}/{HERE}/health") == "ok"
        with Client(address, timeout=30) as client:
            assert client.submit(sum, [20, 22]).result(30) == 42
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)
