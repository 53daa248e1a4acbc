# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module examine_host, on this machine and with files as the kernel and NVIDIA's driver provide them."""

import contextlib
import io
import json
import os
import socket
import tempfile

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import TEXT_LIMIT
from ansible_collections.daskops.cluster.plugins.modules import examine_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.doctor_answers import CHECKS, unbelievable
from conftest import free_port


def examine(**arguments):
    """Run the module, and return its result."""
    output = io.StringIO()
    arguments = {"user": "no-such-account", "_ansible_check_mode": True, **arguments}
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        examine_host.main()
    result = json.loads(output.getvalue())
    assert not result.get("failed"), result
    return result


class Module:
    """The methods of AnsibleModule that the functions use, with programs in one directory."""

    def __init__(self, directory):
        self.directory = directory

    def get_bin_path(self, name):
        path = self.directory / name
        return str(path) if path.exists() else None

    def run_command(self, command, **options):
        path = self.get_bin_path(command[0])
        return (0, path and open(path).read() or "", "")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return a function that writes files below the paths that the module reads."""
    for name in ("PROC", "CONTROL_GROUPS", "PCI_DEVICES", "SELINUX_ENFORCE", "RELEASE"):
        monkeypatch.setattr(examine_host, name, str(tmp_path / name))

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        return tmp_path / path

    return write


def test_this_machine(tmp_path):
    tmp_path.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as server:
        targets = [["127.0.0.1", server.getsockname()[1]], ["127.0.0.1", free_port()]]
        result = examine(
            targets=targets, names=["localhost"], addresses=["127.0.0.1"], scratch=[str(tmp_path / "scratch")]
        )
    assert unbelievable(result) == [] and result["unanswered"] == [] and not result["changed"]
    assert result["connections"] == ["open", "refused"] and result["resolved"]["localhost"]
    assert result["limits"]["nr_open"] > 1024 and result["memory"]["total"] > 2**28
    assert result["interfaces"] and result["cgroups"]["version"] in (0, 1, 2)
    assert result["scratch"][str(tmp_path / "scratch")]["directory"] == str(tmp_path)
    assert result["system"][1] == os.uname().release and result["journal"] == ""
    assert os.listdir(tmp_path) == []


def test_speed_of_a_disk_leaves_no_file(tmp_path):
    assert examine_host.write_speed(str(tmp_path)) > 0 and os.listdir(tmp_path) == []
    with pytest.raises(OSError):
        examine_host.write_speed(str(tmp_path / "none"))


def test_scratch_directory_of_its_account_and_one_that_the_account_could_replace(tmp_path):
    tmp_path.chmod(0o755)
    account = "root" if os.geteuid() == 0 else ""
    about = examine_host.scratch(str(tmp_path), account)
    assert (about["directory"], about["speed"] > 0, about["free"] > 0) == (str(tmp_path), True, True)
    assert about["inodes"] == -1 or about["inodes"] > 0
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as directory:  # tmp_path is in a directory of root
            assert examine_host.scratch(f"{directory}/a/b", "nobody")["speed"] > 0
            os.chmod(directory, 0o777)
            assert examine_host.scratch(f"{directory}/a/b", "nobody")["speed"] == 0  # root does not write there


def test_limits_and_memory(system):
    assert examine_host.limits() == {"nr_open": 0, "pid_max": 0, "threads_max": 0}
    for path, value in {"fs/nr_open": "1024\n", "kernel/pid_max": "32768\n", "kernel/threads-max": "x\n"}.items():
        system(f"PROC/sys/{path}", value)
    assert examine_host.limits() == {"nr_open": 1024, "pid_max": 32768, "threads_max": 0}
    system("PROC/meminfo", "MemTotal: 8 kB\nSwapTotal: 4 kB\nSwapFree: 1 kB\nCommitLimit: 9 kB\nCommitted_AS: 2 kB\n")
    system("PROC/sys/vm/overcommit_memory", "2\n")
    assert examine_host.memory() == {
        "total": 8192,
        "swap": 4096,
        "swap_used": 3072,
        "overcommit": 2,
        "commit_free": 7168,
    }


def test_control_groups(system):
    assert examine_host.cgroups() == {"version": 0, "memory": False}
    system("CONTROL_GROUPS/systemd/tasks", "")
    assert examine_host.cgroups() == {"version": 1, "memory": False}
    system("CONTROL_GROUPS/memory/tasks", "")
    assert examine_host.cgroups() == {"version": 1, "memory": True}
    controllers = system("CONTROL_GROUPS/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert examine_host.cgroups() == {"version": 2, "memory": True}
    controllers.write_text("cpu pids\n")
    assert examine_host.cgroups() == {"version": 2, "memory": False}


def test_selinux(system, tmp_path):
    assert examine_host.selinux(Module(tmp_path)) == {"mode": "", "tools": False}
    system("SELINUX_ENFORCE", "1")
    for name in ("matchpathcon", "restorecon"):
        system(name, "")
    assert examine_host.selinux(Module(tmp_path)) == {"mode": "enforcing", "tools": True}
    system("SELINUX_ENFORCE", "0")
    assert examine_host.selinux(Module(tmp_path))["mode"] == "permissive"


@pytest.mark.parametrize(("said", "expected"), [("yes\n", True), ("no\n", False), ("", None)])
def test_synchronized_clock(system, tmp_path, said, expected):
    assert examine_host.synchronized(Module(tmp_path)) is None
    system("timedatectl", said)
    assert examine_host.synchronized(Module(tmp_path)) is expected


VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\nGCC version: 12\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)\n"


def test_gpus(system, tmp_path, monkeypatch):
    nothing = {"devices": 0, "driver": "", "tool": "", "error": ""}
    assert examine_host.gpus(Module(tmp_path)) == nothing
    for number, (vendor, kind) in enumerate([("0x10de", "0x030200"), ("0x10de", "0x040300"), ("0x8086", "0x030000")]):
        system(f"PCI_DEVICES/{number}/vendor", f"{vendor}\n")
        system(f"PCI_DEVICES/{number}/class", f"{kind}\n")
    assert examine_host.gpus(Module(tmp_path)) == {**nothing, "devices": 1}
    for text in (VERSION, OPEN):
        system("PROC/driver/nvidia/version", text)
        assert examine_host.gpus(Module(tmp_path)) == {**nothing, "devices": 1, "driver": "580.95.05"}
    tool = system("nvidia-smi", "#!/bin/sh\necho 570.2; echo 570.2\n")
    assert "denied" in examine_host.gpus(Module(tmp_path))["error"]
    tool.chmod(0o755)
    assert examine_host.gpus(Module(tmp_path))["tool"] == "570.2"
    tool.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
    error = examine_host.gpus(Module(tmp_path))["error"]
    assert error == "Failed to initialize NVML: Driver/library version mismatch"
    monkeypatch.setattr(examine_host, "TOOL_TIMEOUT", 0.2)
    tool.write_text("#!/bin/sh\ntrap '' TERM\nkill -STOP $$\n")
    assert examine_host.gpus(Module(tmp_path))["error"] == "no answer within 0.2 s"


def test_interfaces(system, tmp_path):
    assert examine_host.interfaces(Module(tmp_path)) == []
    link = {"ifname": "eth0", "operstate": "UP", "flags": ["UP"], "mtu": 1500}
    address = [{"local": "10.0.0.1", "scope": "global"}, {"local": "fe80::1", "scope": "link"}]
    down = {**link, "ifname": "eth1", "operstate": "DOWN"}
    system("ip", json.dumps([{**link, "addr_info": address}, down]))
    assert examine_host.interfaces(Module(tmp_path)) == [
        {"name": "eth0", "up": True, "mtu": 1500, "addresses": ["10.0.0.1"]},
        {"name": "eth1", "up": False, "mtu": 1500, "addresses": []},
    ]
    for wrong in ("[", "{}x", '[{"ifname": 1}]'):
        system("ip", wrong)
        assert examine_host.interfaces(Module(tmp_path)) == []


def test_units_that_do_not_stay_up(system, tmp_path):
    units = {
        "dask-scheduler.service": ("active", "running"),
        "dask-worker@1.service": ("activating", "auto-restart"),
        "dask-worker@2.service": ("failed", "failed"),
    }
    blocks = [f"Id={unit}\nActiveState={active}\nSubState={sub}\n" for unit, (active, sub) in units.items()]
    system("systemctl", "\n".join(blocks))
    assert examine_host.restarting(Module(tmp_path)) == ["dask-worker@1.service", "dask-worker@2.service"]


def test_journal_is_printable_and_optional(system, tmp_path):
    assert examine_host.journal(Module(tmp_path), 5) == ""
    tool = system("journalctl", "#!/bin/sh\nprintf '3 three\\n  more\\n2 two\\033[31m\\n1 one\\n'\n")
    tool.chmod(0o755)
    assert examine_host.journal(Module(tmp_path), 0) == ""
    assert examine_host.journal(Module(tmp_path), 5) == "1 one\n2 two?[31m\n3 three\n  more"


@pytest.mark.parametrize("line", ["yes $(printf %0999d 0)", "yes $(printf %099999d 0)", "head -c 3000000 /dev/zero"])
def test_journal_of_any_length_is_valid(system, tmp_path, line):
    tool = system("journalctl", f'#!/bin/sh\necho "$@" >{tmp_path}/options; echo newest; {line}\n')
    tool.chmod(0o755)
    journal = examine_host.journal(Module(tmp_path), 2000)
    assert len(journal) == examine_host.JOURNAL < TEXT_LIMIT and journal.endswith("\nnewest")
    assert CHECKS["journal"](journal) and "--reverse --lines=2000 " in (tmp_path / "options").read_text()


def test_journal_that_does_not_answer(system, tmp_path, monkeypatch):
    monkeypatch.setattr(examine_host, "TOOL_TIMEOUT", 1)
    system("journalctl", "#!/bin/sh\necho newest; exec sleep 60\n").chmod(0o755)
    assert examine_host.journal(Module(tmp_path), 5) == "newest"
    system("journalctl", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(TimeoutError, match="no answer within 1 s"):
        examine_host.journal(Module(tmp_path), 5)


def test_parts_that_do_not_answer_are_reported_and_hide_no_others(tmp_path, monkeypatch):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # nobody writes to it
    monkeypatch.setattr(examine_host, "FILES_TIMEOUT", 0.5)
    for name in ("other_units", "gpus", "scratch"):
        monkeypatch.setattr(examine_host, name, lambda *dummy: open(fifo).read())
    monkeypatch.setattr(examine_host, "TOOL_TIMEOUT", 0)
    monkeypatch.setattr(examine_host, "PATIENCE", 0)
    monkeypatch.setattr(examine_host, "stray_processes", lambda: open(tmp_path / "none"))
    monkeypatch.setattr(examine_host, "user_packages", lambda home: [home])
    monkeypatch.setattr(examine_host, "connect_all", lambda *dummy: os._exit(1))
    result = examine(user="root", scratch=["/a\x01b"], targets=[["127.0.0.1", 1], ["127.0.0.1", 2]])
    assert result["connections"] == ["not tried", "not tried"]
    assert result["unanswered"] == [
        "the directory /a?b did not answer within 0.5 s",
        "a connection could not be examined (the child process ended without an answer)",
        "a directory of units did not answer within 0.5 s",
        "a process in /proc could not be examined ([Errno 2] No such file or directory)",
        "a GPU or its driver did not answer within 0.5 s",
    ]
    assert unbelievable(result) == [] and result["scratch"] == {} and result["leftovers"]["units"] == []
    assert result["gpus"] == examine_host.NO_GPUS and result["leftovers"]["packages"] == [os.path.expanduser("~root")]
