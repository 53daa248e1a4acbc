# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection of a host: NUMA nodes, GPUs, SELinux, machine identity and more."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import selinux
from ansible_collections.daskops.cluster.plugins.modules import inspect_host


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a function that writes files as Linux and NVIDIA's driver provide them."""
    names = ("CPUS", "CONTROL_GROUPS", "NODES", "GPUS", "PCI_DEVICES", "BOOT_ID", "NETWORK_DEVICES", "SELINUX_CONNECT")
    for name in names:
        monkeypatch.setattr(inspect_host, name, str(tmp_path / name))
    monkeypatch.setattr(selinux, "ENFORCE", str(tmp_path / "ENFORCE"))

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    return write


@pytest.mark.parametrize(
    ("content", "peers"),
    [
        ('{"cluster": ["10.0.0.0/31", "fd00::1/128"]}', ["10.0.0.0/31", "fd00::1/128"]),
        ('{"cluster": []}', []),
        ("", []),
        ("[]", []),
        ("{}", []),
        ('{"cluster": 1}', []),
        ('{"cluster": [5]}', []),
        ('{"cluster": ["everybody"]}', []),
    ],
)
def test_firewall_peers_are_read_from_the_hosts_files(tmp_path, monkeypatch, content, peers):
    monkeypatch.setattr(inspect_host, "FIREWALL_PEERS", str(tmp_path / "peers.json"))
    monkeypatch.setattr(inspect_host, "FIREWALL_RULES", [str(tmp_path / "rules")])
    assert inspect_host.firewall_peers() == []
    (tmp_path / "rules").write_text("# Hosts of the cluster: 10.0.0.9/32\n")  # the format of an earlier version
    assert inspect_host.firewall_peers() == ["10.0.0.9/32"]
    (tmp_path / "peers.json").write_text(content)
    assert inspect_host.firewall_peers() == peers


@pytest.mark.parametrize(
    ("content", "port"),
    [('{"port": 9443}', 9443), ("", 8443), ("[]", 8443), ("{}", 8443), ('{"port": "https"}', 8443), (None, 8443)],
)
def test_port_of_the_proxy_is_read_from_its_file(tmp_path, monkeypatch, content, port):
    """On a host of an earlier version, and with a damaged file, it is that of the site."""
    monkeypatch.setattr(inspect_host, "PROXY", str(tmp_path / "proxy.json"))
    site = tmp_path / "daskops.conf"
    assert inspect_host.proxy_port(str(site)) == 0
    site.write_text("server {\n    listen 10.0.0.1:8443 ssl;\n}\n")
    if content is not None:
        (tmp_path / "proxy.json").write_text(content)
    assert inspect_host.proxy_port(str(site)) == port


def test_nodes_contain_only_usable_cpus(host):
    host("NODES/node0/cpulist", "0-3,8-11\n")
    host("NODES/node1/cpulist", "4-7,12\n")
    host("NODES/node2/cpulist", "\n")  # a node without CPUs
    assert inspect_host.nodes([0, 1, 8, 12]) == [{"id": 0, "cpus": [0, 1, 8]}, {"id": 1, "cpus": [12]}]
    assert inspect_host.nodes([0]) == [{"id": 0, "cpus": [0]}]


def test_cores_contain_only_usable_cpus(host):
    for cpu in range(8):
        host(f"CPUS/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}\n")
    assert inspect_host.cores([0, 1, 2, 4, 5, 7]) == [[0, 4], [1, 5], [2], [7]]
    assert inspect_host.cores([3]) == [[3]]
    host("CPUS/cpu0/topology/thread_siblings_list", "0-1\n")
    host("CPUS/cpu1/topology/thread_siblings_list", "0-1\n")
    assert inspect_host.cores([0, 1]) == [[0, 1]]


def test_cpus_without_known_cores_are_cores(host):
    assert inspect_host.cores([0, 1, 5]) == [[0], [1], [5]]
    host("CPUS/cpu0/topology/thread_siblings_list", "nonsense\n")
    assert inspect_host.cores([0]) == [[0]]


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 0),
        ({"cpu.max": "max 100000\n"}, 0),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "1000 0\n"}, 0),
        ({"cpu.max": "\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_quota_of_cpu_time_is_read_in_cpus(host, files, limit):
    for name, text in files.items():
        host(f"CONTROL_GROUPS/{name}", text)
    assert inspect_host.cpu_limit() == limit


def test_limit_of_memory_is_that_of_the_control_group(host):
    total = inspect_host.memory()
    host("CONTROL_GROUPS/memory.max", "max\n")
    assert inspect_host.memory() == total
    host("CONTROL_GROUPS/memory.max", "1000000\n")
    assert inspect_host.memory() == 1000000
    host("CONTROL_GROUPS/memory/memory.limit_in_bytes", "900000\n")
    assert inspect_host.memory() == 900000


def test_gpus_are_sorted_by_bus_id(host):
    for bus, uuid, node in [("0000:d8:00.0", "GPU-b", "1"), ("0000:3B:00.0", "GPU-a", "-1")]:
        told = f"Model: \t\t NVIDIA H100\nIRQ:   \t\t 16\nGPU UUID: \t {uuid}\nBus Location: \t {bus}\n"
        host(f"GPUS/{bus}/information", told)
        host(f"PCI_DEVICES/{bus.lower()}/numa_node", f"{node}\n")
    assert inspect_host.gpus() == [
        {"index": 0, "uuid": "GPU-a", "model": "NVIDIA H100", "node": None},
        {"index": 1, "uuid": "GPU-b", "model": "NVIDIA H100", "node": 1},
    ]


def test_excluded_gpu_is_left_out(host):
    for bus, uuid, excluded in [("0000:18:00.0", "GPU-a", "Yes"), ("0000:3b:00.0", "GPU-b", "No")]:
        host(f"GPUS/{bus}/information", f"GPU UUID: \t {uuid}\nGPU Excluded:\t {excluded}\n")
    assert [(gpu["index"], gpu["uuid"]) for gpu in inspect_host.gpus()] == [(0, "GPU-b")]


def test_host_without_the_driver_has_no_gpus(host):
    assert inspect_host.gpus() == []


@pytest.mark.parametrize(
    ("enforced", "connect", "confined"),
    [("1", "0 0", True), ("1", "1 1", False), ("0", "0 0", False), ("1\n", "0 1", True)],
)
def test_selinux_confines_web_servers(host, enforced, connect, confined):
    host("ENFORCE", enforced)
    host("SELINUX_CONNECT", connect)
    assert inspect_host.confined() is confined


def test_host_without_selinux_confines_nothing(host):
    assert inspect_host.confined() is False


def test_machine_id_is_stable():
    first = inspect_host.machine()
    assert first == inspect_host.machine() != ""


def test_clones_of_a_virtual_machine_have_different_ids(host, tmp_path):
    host("BOOT_ID", "c0ffee\n")
    (tmp_path / "NETWORK_DEVICES/eth0/device").mkdir(parents=True)
    host("NETWORK_DEVICES/eth0/address", "52:54:00:00:00:01\n")
    first = inspect_host.machine()
    host("NETWORK_DEVICES/veth1/address", "52:54:00:00:00:09\n")  # virtual interfaces of containers change often
    assert inspect_host.machine() == first
    host("NETWORK_DEVICES/eth0/address", "52:54:00:00:00:02\n")
    assert inspect_host.machine() != first
    host("NETWORK_DEVICES/eth0/address", "52:54:00:00:00:01\n")
    host("BOOT_ID", "decaf\n")
    assert inspect_host.machine() != first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a process namespace")
def test_containers_have_their_own_machine_ids():
    program = (
        "from ansible_collections.daskops.cluster.plugins.modules import inspect_host; print(inspect_host.machine())"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    collections = str(Path(inspect_host.__file__).parents[5])
    environment = {**os.environ, "PYTHONPATH": collections}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    assert found not in ("", inspect_host.machine())


# Values that users of the host control


class Module:
    """A stand-in for AnsibleModule that runs commands."""

    def __init__(self, **parameters):
        self.params = {"user": "nobody", "groups": [], **parameters}

    def get_bin_path(self, name):
        return shutil.which(name)

    def run_command(self, command, handle_exceptions=True, cwd=None):
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        return done.returncode, done.stdout, done.stderr


MOUNTS = (
    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "30 21 0:40 / /home/a\x0b\u2028\x85\rb rw - fuse.sshfs a\x1cb rw\n"
    "31 21 8:2 / /srv/my\\040disk\\134 rw - xfs /dev/sdb rw\n"
)


def test_mount_points_may_contain_any_character(tmp_path, monkeypatch):
    read = inspect_host.read
    monkeypatch.setattr(inspect_host, "read", lambda path: MOUNTS if path == "/proc/self/mountinfo" else read(path))
    assert inspect_host.file_system(str(tmp_path))["type"] == "ext4"
    monkeypatch.setattr(inspect_host.os.path, "exists", lambda path: True)
    monkeypatch.setattr(inspect_host.os, "statvfs", lambda path: os.statvfs_result(range(11)))
    assert inspect_host.file_system("/srv/my disk\\")["type"] == "xfs"


def test_process_names_are_printable():
    program = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, b"a\\x1b[2J\\xe9", 0, 0, 0)  # PR_SET_NAME
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        port = int(process.stdout.readline())
        (found,) = [listener for listener in inspect_host.listeners() if listener["port"] == port]
        process.communicate()
    assert found["process"].startswith("a?[2J") and found["process"].isprintable()


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_root_does_not_run_an_interpreter_of_the_services_user(tmp_path):
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        os.chmod(directory, 0o755)
        home = Path(directory) / "home"
        home.mkdir()
        (home / "python").write_text(f'#!/bin/sh\ntouch {tmp_path}/run\nexec {sys.executable} "$@"\n')
        (home / "python").chmod(0o755)
        found = inspect_host.inspect_python(Module(python=str(home / "python")))
        assert found["version"] and (tmp_path / "run").exists()
        (tmp_path / "run").unlink()
        os.chown(home, 65534, 65534)
        found = inspect_host.inspect_python(Module(python=str(home / "python")))
        place = f"{home} (owner nobody, mode 0755)"
        assert found == {"executable": str(home / "python"), "changeable": place}
        assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_root_does_not_run_an_interpreter_of_any_other_user(place):
    """Such as miniconda in the home of an administrator, or a directory in /tmp that somebody made first."""
    python = place / "bin/python3"
    python.parent.mkdir()
    shutil.copy("/usr/bin/python3", python)
    shutil.chown(python.parent, "daemon")
    unsafe = {"executable": str(python), "changeable": f"{python.parent} (owner daemon, mode 0755)"}
    assert inspect_host.inspect_python(Module(python=str(python))) == unsafe
    assert inspect_host.unsafe(Module(), str(python.parent)) == unsafe["changeable"]
    shutil.chown(python.parent, "root")
    assert "version" in inspect_host.inspect_python(Module(python=str(python)))


@pytest.mark.parametrize("error", [TimeoutError("no answer within 10 s"), ValueError("no answer")])
def test_path_that_cannot_be_examined_is_not_safe(monkeypatch, error):
    def fail(*dummy):
        raise error

    monkeypatch.setattr(inspect_host, "changeable", fail)
    found = inspect_host.inspect_python(Module(python="/usr/bin/python3"))
    assert found == {"executable": "/usr/bin/python3", "changeable": f"/usr/bin/python3 (not examined: {error})"}


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_interpreter_in_a_closed_home_is_not_usable():
    assert inspect_host.inspect_python(Module(python="/usr/bin/python3"))["usable"]
    with tempfile.TemporaryDirectory(dir="/run") as directory:  # mode 0700
        (Path(directory) / "python").symlink_to("/usr/bin/python3")
        shutil.copy("/usr/bin/python3", f"{directory}/copy")
        # Environments are built with the target of a link, so a link to a readable interpreter is usable.
        assert inspect_host.inspect_python(Module(python=f"{directory}/python"))["usable"]
        assert not inspect_host.inspect_python(Module(python=f"{directory}/copy"))["usable"]


def test_interpreter_of_a_host_with_a_managed_python_is_not_run():
    assert inspect_host.inspect_python(Module(python="")) == {}


@pytest.mark.parametrize("output", ["", "no JSON", "[]", "{}", '{"version": 1}'])
def test_program_other_than_python_is_ignored(tmp_path, output):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{output}'\n")
    program.chmod(0o755)
    assert inspect_host.inspect_python(Module(python=str(program), user="not-there")) == {}


def test_modules_in_the_working_directory_are_not_imported(tmp_path, monkeypatch):
    for name in ("json", "os", "platform"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert inspect_host.inspect_python(Module(python="/usr/bin/python3"))["version"]


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_writable_needs_no_programs_in_path(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")  # `su` without a dash keeps an unsuitable PATH
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        for mode, owner, expected in [(0o755, 0, False), (0o700, 65534, True), (0o777, 0, True)]:
            os.chmod(directory, mode)
            os.chown(directory, owner, owner)
            assert inspect_host.writable(Module(), directory) == expected
    assert inspect_host.writable(Module(), "/run/not-there")


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_directory_that_services_could_change_is_no_import_path():
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        code = Path(directory) / "code"
        code.mkdir()
        for mode, group, groups, readable, changed in [
            (0o755, 0, [], True, False),
            (0o750, 0, [], False, False),
            (0o750, 1, ["daemon"], True, False),
            (0o770, 1, ["daemon"], True, True),
            (0o777, 0, [], True, True),
        ]:
            os.chmod(directory, 0o755)
            code.chmod(mode)
            os.chown(code, 0, group)
            found = inspect_host.import_path(Module(groups=groups), str(code))
            assert found == {"readable": readable, "changeable": str(code) if changed else ""}, (mode, groups)
        # The services' user could replace the directory.
        code.chmod(0o755)
        os.chown(directory, 65534, 65534)
        assert inspect_host.import_path(Module(), str(code)) == {"readable": True, "changeable": directory}
        (code / "module.py").touch()
        for path in (code / "module.py", code / "missing"):
            assert not inspect_host.import_path(Module(), str(path))["readable"]


@pytest.mark.parametrize("content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"])
def test_damaged_ca_has_no_fingerprint(tmp_path, content):
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/ca.pem").write_text(content)
    assert inspect_host.authorities(str(tmp_path)) in ([], [hashlib.sha256(b"").hexdigest()])


def test_schedulers_release_is_reported_if_it_is_not_current():
    def release(name):
        return {"id": name, "services": {"scheduler": {"dask-scheduler.service": f"{name}.s"}}}

    releases = {name: release(name) for name in ("one", "two")}
    assert inspect_host.serving("two.s", releases["two"], releases) == {}
    assert inspect_host.serving("one.s", releases["two"], releases)["id"] == "one"
    assert inspect_host.serving("", releases["two"], releases) == inspect_host.serving("gone.s", {}, releases) == {}


def test_only_files_of_time_zones_are_time_zones(tmp_path):
    names = {"Europe/Berlin": True, "UTC": True, "Europe": False, "leapseconds": False, "Europe/Berlim": False}
    assert {name: inspect_host.is_time_zone(inspect_host.zone_file(name)) for name in names} == names
    os.mkfifo(tmp_path / "pipe")  # opening it would wait
    assert not inspect_host.is_time_zone(str(tmp_path / "pipe"))


def test_account_of_root_is_recognised_by_its_number():
    assert inspect_host.account("root")["root"] is True and inspect_host.account("nobody")["root"] is False
    assert inspect_host.account("no-such-account") == {}
