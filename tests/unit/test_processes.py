# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases that processes run."""

import subprocess
import sys

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.processes import running_release, running_services


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
