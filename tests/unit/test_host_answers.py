# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of the data that hosts report, before it is used in a plan."""

import copy
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import CHECKS, unbelievable
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
RELEASE = {
    "id": "0f3c5e9a7b1d",
    "environment": "1f3c5e9a7b1d",
    "application": "7b1d0f3c5e9a",
    "label": "v1.4",
    "staged": 1_800_000_000,
    "served": ["worker"],
    "services": {"worker": {"dask-worker@numeric-1.service": "3f2a91c04d5e.7b21"}},
}
ABOUT = {
    "changeable": "",
    "problem": "",
    "python": "3.12.4",
    "implementation": "cpython",
    "prefix": "/nfs/env",
    "base_prefix": "/nfs/env",
    "packages": {"dask": "2026.8.0"},
    "conda": ["libgdal-3.8.0-h1_0"],
    "by_conda": ["dask"],
}
BLOCK = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"
ANSWER = {
    "changed": False,
    "cpus": [0, 1],
    "cores": [[0, 1]],
    "cpu_limit": 0,
    "nodes": [{"id": 0, "cpus": [0, 1]}],
    "gpus": [{"index": 0, "uuid": "GPU-????????", "model": "NVIDIA H100", "node": None}],
    "memory": 33554432000,
    "systemd": True,
    "selinux_type": "bin_t",
    "python": {
        "executable": "/usr/bin/python3",
        "version": "3.11.2",
        "implementation": "cpython",
        "prefix": "/usr",
        "machine": "x86_64",
        "libc": ["glibc", "2.36"],
        "usable": True,
    },
    "file_systems": {"/opt": {"exists": True, "type": "ext4", "mount": "/", "free": 1, "writable": False}},
    "missing": ["/etc/key.pem"],
    "time_zones": {"Europe/Berlin": True, "Europe": False},
    "groups": {"data": 1005, "people": None},
    "import_paths": {"/shared/code": {"readable": True, "changeable": ""}},
    "proxy": {"nginx": True, "port": 8443, "confined": False},
    "listeners": [{"port": 22, "process": "sshd (process 1)", "unit": "ssh.service"}],
    "address": "10.0.0.2",
    "worker_addresses": {"eth1": "10.1.0.2", "eth2": ""},
    "client_addresses": ["192.0.2.10"],
    "route": ["10.0.0.2", "10.0.0.1"],
    "firewall": {
        "foreign": ["ufw"],
        "usable": ["nftables"],
        "installed": [],
        "loaded": False,
        "cluster": ["10.0.0.0/31", "fd00::1/128"],
    },
    "architecture": "x86_64",
    "current": {**RELEASE, "content": "3f2a91c04d5e", "settled": ["worker"], "enabled": ["worker"]},
    "previous": {},
    "serving": {},
    "unfinished": 0,
    "known": ["3f2a91c04d5e.7b21"],
    "running": {"dask-worker@1.service": "3f2a91c04d5e.7b21 (another unit)", "dask-scheduler.service": None},
    "dashboard": "",
    "scheduler_environment": "",
    "account": {"home": "/var/lib/dask", "comment": "Dask (daskops.cluster)", "at_home": True, "root": False},
    "encrypted": None,
    "authorities": ["0" * 64],
    "environments": {"1f3c5e9a7b1d": {"id": "1f3c5e9a7b1d", "python": "3.11.2", "packages": {"dask": "2026.8.0+a"}}},
    "environment_paths": {"/nfs/env": ABOUT},
    "applications": {"7b1d0f3c5e9a": {"id": "7b1d0f3c5e9a", "packages": {"analysis": "1.4"}}},
    "versions": [
        {
            "id": "1f3c5e9a7b1d",
            "lock": "",
            "python": "",
            "packages": {},
            "releases": [],
            "labels": {},
            "applications": {},
        }
    ],
    "certificates": {
        "installed": {"ca.pem": ["5d0a41b9c7e2", 420, "root"]},
        "loaded": {},
        "current": {"worker": "9f3c2e7a1b50"},
        "public": {"ca": BLOCK, "worker": f"expires 1800000000\n{BLOCK}{BLOCK}"},
    },
    "libc": ["glibc", "2.36"],
    "pythons": ["3.13.5+20261129-x86_64"],
    "changeable": "",
    "clock": [1_800_000_000.5, 1_800_000_001],
    "unresolved": "",
    "refused": "Connection refused",
    "machine": "0" * 32,
}


def test_valid_answer_is_accepted():
    assert unbelievable(ANSWER) == []
    assert unbelievable({**ANSWER, "address": "fd00::2", "route": ["fd00::2", "fd00::1"]}) == []
    account = {"home": "/home/zoë", "comment": "Zoë\t山田", "at_home": True, "root": False}
    assert unbelievable({**ANSWER, "account": account}) == []
    blank = {"python": {}, "current": {}, "account": {}, "address": "", "route": [], "machine": "", "nodes": []}
    assert unbelievable({**ANSWER, **blank}) == []
    managed = {"1f3c5e9a7b1d": {"python": "3.13.5", "packages": {}, "managed_python": "3.13.5+20261129-x86_64"}}
    assert unbelievable({**ANSWER, "environments": managed, "pythons": []}) == []
    assert unbelievable({**ANSWER, "python": {"executable": "/home/dask/python", "changeable": "/home/dask"}}) == []


def test_answer_of_this_machine_is_accepted():
    command = ["ansible", "localhost", "-m", "daskops.cluster.host_info"]
    arguments = json.dumps({"home": "/opt/dask", "user": "nobody", "paths": ["/tmp"], "scheduler_host": "localhost"})
    run = subprocess.run([*command, "-a", arguments], capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert run.returncode == 0 and json.loads(run.stdout.partition("=> ")[2])["clock"], run.stdout + run.stderr


@pytest.mark.parametrize(
    "name, value",
    [
        ("cpus", "all"),
        ("cpus", [True]),
        ("cpus", [-1]),
        ("cpus", [0] * 30_000),
        ("memory", 1e400),
        ("memory", "33554432000"),
        ("architecture", "x86 64"),
        ("python", []),
        ("python", {"version": "3.11.2"}),
        ("python", {**ANSWER["python"], "version": "3.x"}),
        ("python", {**ANSWER["python"], "version": "--config-file=/tmp/x"}),
        ("python", {**ANSWER["python"], "machine": "x86_64\n"}),
        ("python", {**ANSWER["python"], "libc": "glibc"}),
        ("address", "10.0.0.0/8"),
        ("address", "scheduler"),
        ("address", "fe80::1%eth0"),
        ("address", "[fd00::1]"),
        ("address", 42),
        ("address", "224.0.0.1"),
        ("address", "ff02::1"),
        ("route", ["10.0.0.2", None]),
        ("route", ["10.0.0.2"]),
        ("route", ["10.0.0.2", ""]),
        ("route", ["10.0.0.2", "10.0.0.1", "198.18.0.1"]),
        ("route", ["10.0.0.2", "224.0.0.1"]),
        ("route", {}),
        ("client_addresses", ["scheduler"]),
        ("dashboard", "8787/;x"),
        ("dashboard", "/dask"),
        ("worker_addresses", {"eth1": "0.0.0.0/0"}),
        ("firewall", {**ANSWER["firewall"], "cluster": ["everybody"]}),
        ("firewall", {**ANSWER["firewall"], "foreign": ["\x1b[31m"]}),
        ("firewall", {}),
        ("proxy", {}),
        ("nodes", [{}]),
        ("listeners", [{}]),
        ("serving", {**RELEASE, "served": 5}),
        ("current", {**RELEASE, "id": "../../etc"}),
        ("current", {**RELEASE, "label": "v1 4"}),
        ("versions", [{**ANSWER["versions"][0], "labels": {"3f2a91c04d5e": "\x1b[2J"}}]),
        ("current", {**RELEASE, "staged": "now"}),
        ("current", {**RELEASE, "services": {"worker": ["dask-worker@1.service"]}}),
        ("running", {"dask-worker@1.service": "\x1b[2J"}),
        ("account", {"home": 1, "comment": "", "at_home": True, "root": False}),
        *(
            ("account", {"home": "/", "comment": f"a{one}b", "at_home": True, "root": False})
            for one in "\r\x0c\u2028\u202e\ud800"
        ),
        ("authorities", ["trust me"]),
        ("certificates", {**ANSWER["certificates"], "current": {"ca": "9f3c2e7a1b50"}}),
        ("certificates", {**ANSWER["certificates"], "public": {"../ca": BLOCK}}),
        ("certificates", {**ANSWER["certificates"], "public": {"ca": f"{BLOCK}\x1b[2J"}}),
        ("certificates", {**ANSWER["certificates"], "public": {"ca": BLOCK * 10_000}}),
        ("certificates", {**ANSWER["certificates"], "public": {"ca": BLOCK.replace("CERTIFICATE", "PRIVATE KEY")}}),
        ("certificates", {**ANSWER["certificates"], "public": {"worker": ""}}),
        ("environments", {"../x": {}}),
        ("environments", {"1f3c5e9a7b1d": {"python": "3.11.2", "packages": {}, "managed_python": "../x"}}),
        ("pythons", [".."]),
        ("pythons", ["3.13.5/bin"]),
        ("libc", "glibc"),
        ("libc", ["glibc", "2.36; reboot"]),
        ("environments", {"1f3c5e9a7b1d": {"python": "3.11.2", "packages": []}}),
        ("environments", {"1f3c5e9a7b1d": {"python": "3.11.2", "packages": {}, "archive": "\x1b[2J"}}),
        ("versions", [{**ANSWER["versions"][0], "lock": "\x1b[2J"}]),
        ("versions", [{**ANSWER["versions"][0], "python": "\x1b[2J"}]),
        ("environment_paths", {"/nfs/env": {}}),
        ("environment_paths", {"/nfs/env": {**ABOUT, "packages": {"--index-url": "1"}}}),
        ("environment_paths", {"/nfs/env": {**ABOUT, "packages": {"dask": "1 --hash"}}}),
        ("environment_paths", {"/nfs/env": {**ABOUT, "conda": ["\x1b[2J"]}}),
        ("environment_paths", {"/nfs/env": {**ABOUT, "python": "new"}}),
        ("clock", [0]),
        ("clock", ["now", "then"]),
        ("groups", {"data": "1005"}),
        ("applications", {"../x": {"id": "", "packages": {}}}),
        ("applications", {"7b1d0f3c5e9a": {"id": "7b1d0f3c5e9a", "packages": {"analysis": "\x1b[2J"}}}),
        ("import_paths", {"/shared/code": {"readable": "yes", "changeable": ""}}),
        ("listeners", [{"port": "22", "process": "", "unit": ""}]),
        ("file_systems", {"/opt": {"exists": True}}),
        ("time_zones", {"Europe/Berlin": "yes"}),
    ],
)
def test_invalid_value_is_rejected(name, value):
    assert unbelievable({**ANSWER, name: value}) == [name]


@pytest.mark.parametrize("name", CHECKS)
def test_missing_value_is_rejected(name):
    answer = copy.copy(ANSWER)
    del answer[name]
    assert unbelievable(answer) == [name]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(CHECKS)), value=JSON)
def test_any_json_is_accepted_or_rejected_by_name(name, value):
    assert unbelievable({**ANSWER, name: value}) in ([], [name])
