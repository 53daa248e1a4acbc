# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data about services from systemd and Linux, of which the services control a part."""

import subprocess
import sys

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import units
from ansible_collections.daskops.cluster.plugins.module_utils.processes import running_release, running_services
from ansible_collections.daskops.cluster.plugins.module_utils.units import shown_services, unit_files
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable, read_text

BLOCK = "Id={id}\nMainPID={pid}\nActiveState=active\nStatusText={status}\n"


class Module:
    """A stand-in for AnsibleModule with a fixed output of systemctl."""

    def __init__(self, output):
        self.output = output

    def run_command(self, command):
        assert command[:2] == ["systemctl", "show"]
        return 0, self.output, ""


# str.splitlines() splits at these characters, systemd does not.
@pytest.mark.parametrize("end", ["\r", "\f", "\v", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("text", ["", "MainPID=1", "Id=dask-worker@2.service", "no property", "="])
def test_status_text_stays_one_property(end, text):
    status = f"Worker{end}{text}{end}{end}{text}"
    blocks = [
        BLOCK.format(id="dask-scheduler.service", pid=10, status="Scheduler"),
        BLOCK.format(id="dask-worker@1.service", pid=11, status=status),
        BLOCK.format(id="dask-worker@other.service", pid=12, status="not the collection's"),
    ]
    shown = shown_services(Module("\n".join(blocks)))
    assert sorted(shown) == ["dask-scheduler.service", "dask-worker@1.service"]
    worker = shown["dask-worker@1.service"]
    assert (worker["MainPID"], worker["ActiveState"], worker["StatusText"]) == ("11", "active", status)


def test_missing_property_is_empty():
    shown = shown_services(Module("Id=dask-worker@1.service\nMainPID=1\n"))
    assert shown["dask-worker@1.service"] == {
        "Id": "dask-worker@1.service",
        "MainPID": "1",
        "ActiveState": "",
        "StatusText": "",
    }
    assert shown_services(Module("")) == {}


@pytest.mark.parametrize(
    "release, read",
    [
        (b"3f2a91c04d5e.7b21", "3f2a91c04d5e.7b21"),
        (b"", None),
        (b"x" * 65, None),
        (b"3f2a91c04d5e.7b21 (another unit)", None),
        (b"\x1b[2J", None),
        ("café".encode("latin-1"), None),
        ("a\u2028b".encode(), None),
    ],
)
def test_release_of_a_process_is_validated(release, read):
    command = [sys.executable, "-c", "print('ready', flush=True); input()"]
    variables = {b"A": b"\xff", b"DASKOPS_RELEASE": release}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            assert running_release(process.pid) == read
        finally:
            process.kill()


def test_reading_a_large_process_environment_is_limited():
    program = """
import ctypes, mmap, sys
size = 64 * 1024**2
area = mmap.mmap(-1, size)
area.write(b"A" * size)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
libc = ctypes.CDLL(None, use_errno=True)
for option, address in ((10, start), (11, start + size)):  # PR_SET_MM_ENV_START, PR_SET_MM_ENV_END
    libc.prctl(35, option, ctypes.c_ulong(address), 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            state = {"ActiveState": "active", "MainPID": str(process.pid)}
            assert running_services({"dask-worker@1.service": state}) == {"dask-worker@1.service": None}
        finally:
            process.kill()


def test_unit_file_in_another_encoding_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(units, "SYSTEMD", str(tmp_path))
    (tmp_path / "dask-scheduler.service").write_bytes("[Unit]\nDescription=café\n".encode("latin-1"))
    assert unit_files("scheduler")["dask-scheduler.service"].startswith("[Unit]\nDescription=caf")
    (tmp_path / "dask-scheduler.service").unlink()
    (tmp_path / "dask-scheduler.service").mkdir()
    assert unit_files("scheduler") == {"dask-scheduler.service": ""}


def test_proc_file_is_read_with_a_large_limit():
    assert len(read_text("/proc/sys/kernel/random/boot_id", 64 * 1024**2)) == 37


def test_file_above_the_limit_is_rejected(tmp_path):
    (tmp_path / "file").write_bytes(b"a\rb")
    assert read_text(tmp_path / "file", 3) == "a\rb"
    with pytest.raises(ValueError, match="longer than 2 bytes"):
        read_text(tmp_path / "file", 2)


def test_control_characters_are_replaced():
    assert printable("a\x1b[2Jb\r\udce9\n\tc") == "a?[2Jb??\n\tc"
    assert printable("a" * 5000 + "b") == "a" * 3999 + "b"
