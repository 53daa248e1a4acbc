# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts with several NUMA nodes and with GPUs show of them."""

import pytest
from ansible_collections.daskops.cluster.plugins.modules import host_info


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Write files as Linux and NVIDIA's driver show them."""
    for name in ("NODES", "GPUS", "PCI_DEVICES"):
        monkeypatch.setattr(host_info, name, str(tmp_path / name))

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    return write


def test_nodes_have_the_cpus_that_may_be_used(host):
    host("NODES/node0/cpulist", "0-3,8-11\n")
    host("NODES/node1/cpulist", "4-7,12\n")
    host("NODES/node2/cpulist", "\n")  # memory alone
    assert host_info.nodes([0, 1, 8, 12]) == [{"id": 0, "cpus": [0, 1, 8]}, {"id": 1, "cpus": [12]}]
    assert host_info.nodes([0]) == [{"id": 0, "cpus": [0]}]


def test_gpus_are_in_the_order_of_the_bus(host):
    for bus, uuid, node in [("0000:d8:00.0", "GPU-b", "1"), ("0000:3B:00.0", "GPU-a", "-1")]:
        told = f"Model: \t\t NVIDIA H100\nIRQ:   \t\t 16\nGPU UUID: \t {uuid}\nBus Location: \t {bus}\n"
        host(f"GPUS/{bus}/information", told)
        host(f"PCI_DEVICES/{bus.lower()}/numa_node", f"{node}\n")
    assert host_info.gpus() == [
        {"index": 0, "uuid": "GPU-a", "model": "NVIDIA H100", "node": None},
        {"index": 1, "uuid": "GPU-b", "model": "NVIDIA H100", "node": 1},
    ]


def test_a_gpu_that_the_driver_leaves_out_has_no_number(host):
    for bus, uuid, excluded in [("0000:18:00.0", "GPU-a", "Yes"), ("0000:3b:00.0", "GPU-b", "No")]:
        host(f"GPUS/{bus}/information", f"GPU UUID: \t {uuid}\nGPU Excluded:\t {excluded}\n")
    assert [(gpu["index"], gpu["uuid"]) for gpu in host_info.gpus()] == [(0, "GPU-b")]


def test_a_host_without_a_driver_shows_no_gpu(host):
    assert host_info.gpus() == []
