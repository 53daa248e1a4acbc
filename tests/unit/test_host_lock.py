# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on a host: users that can take them, and the end of waiting."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, take_lock

COLLECTIONS = Path(__file__).parents[2] / ".collections"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="starts a process of another user")

# Tries to lock the given directories and the files in them, and keeps the locks.
ATTACK = """
import fcntl, glob, os, sys, time
got = []
for path in [found for given in sys.argv[1:] for found in [given, *glob.glob(f"{given}/.*"), *glob.glob(f"{given}/*")]]:
    try:
        file = os.open(path, os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        got.append(path)
    except OSError:
        pass
print(got, flush=True)
time.sleep(60)
"""

HOLD = """
import time
from pathlib import Path
from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import take_lock
take_lock("services", directory={directory!r})
print("held", flush=True)
time.sleep(60)
"""

# Runs a module as Ansible does, with the test's directories in place of the host's.
MODULE = """
import json, sys
from ansible.module_utils import basic
from ansible_collections.daskops.cluster.plugins.module_utils import host_lock, units
from ansible_collections.daskops.cluster.plugins.modules import {name} as module
directory, systemd, arguments = sys.argv[1:]
units.SYSTEMD = module.SYSTEMD = systemd
host_lock.take_lock.__defaults__ = (host_lock.TIMEOUT, directory)
basic._ANSIBLE_ARGS = json.dumps({{"ANSIBLE_MODULE_ARGS": json.loads(arguments)}}).encode()
basic._ANSIBLE_PROFILE = "legacy"
module.main()
"""


@contextlib.contextmanager
def running(program, *arguments, user=None):
    """Start a program and return its process and the first line of its output; kill it at the end."""
    # Another user may be unable to run the tests' own interpreter.
    command = ["/usr/bin/python3" if user else sys.executable, "-c", program, *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env={"PYTHONPATH": str(COLLECTIONS)},
        cwd="/",
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def host(tmp_path):
    """Return a directory that every user can enter, as /run is."""
    path = tmp_path
    while path != Path("/tmp") and path != path.parent:
        path.chmod(path.stat().st_mode | 0o055)
        path = path.parent
    return tmp_path


@as_root
@pytest.mark.parametrize(
    "lock, module, arguments",
    [
        ("services", "change_services", {"kind": "worker", "boot": "dask-workers.target", "state": "stopped"}),
        ("build", "build_environment", {"id": "e1", "python": sys.executable, "origin": {"lock": "l"}}),
    ],
)
def test_other_users_cannot_block_a_run(host, lock, module, arguments):
    systemd, home = host / "systemd", host / "home"
    for directory in (systemd, home / "environments"):
        directory.mkdir(parents=True)
    (home / "environments/.lock").touch(0o644)  # a file of an earlier version
    for directory in (host / "run", home / "environments/.locks"):
        take_lock(lock, directory=str(directory))
        os.close(take_lock.__globals__["_held"].pop())
    with running(ATTACK, str(systemd), str(home / "environments"), str(host / "run"), user=NOBODY) as (dummy, got):
        assert str(systemd) in got and str(host / "run") not in got and "locks/" not in got
        command = [sys.executable, "-c", MODULE.format(name=module)]
        command += [str(host / "run"), str(systemd), json.dumps({"home": str(home), **arguments})]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(COLLECTIONS)}, capture_output=True, text=True, timeout=20
        )
    # The module got past the lock: its error is about a later step.
    assert re.search("systemctl|Set archive", done.stdout + done.stderr), done


def test_timeout_names_the_holder_of_the_lock(host):
    with running(HOLD.format(directory=str(host / "run"))) as (process, said):
        assert said == "held"
        started = time.monotonic()
        with pytest.raises(HostLockError) as error:
            take_lock("services", timeout=0.5, directory=str(host / "run"))
        assert 0.5 <= time.monotonic() - started < 5
        assert f"locked by process {process.pid} since 2" in str(error.value)
        assert "run again" in str(error.value)
    take_lock("services", timeout=5, directory=str(host / "run"))  # the holder has ended


def test_lock_is_root_only(host):
    os.umask(os.umask(0))  # the result must not depend on the umask
    take_lock("services", directory=str(host / "run"))
    assert (host / "run").stat().st_mode & 0o777 == 0o700
    assert (host / "run/services.lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
def test_directory_open_to_others_is_rejected(host, mode):
    (host / "run").mkdir()
    (host / "run").chmod(mode)
    with pytest.raises(HostLockError, match="must belong to the account that runs this module, and have mode 0700"):
        take_lock("services", directory=str(host / "run"))


def test_link_in_place_of_the_directory_is_rejected(host):
    (host / "elsewhere").mkdir(mode=0o700)
    (host / "run").symlink_to(host / "elsewhere")
    with pytest.raises(HostLockError, match="cannot be opened"):
        take_lock("services", directory=str(host / "run"))
    assert not list((host / "elsewhere").iterdir())


@as_root
def test_directory_of_another_user_is_rejected(host):
    (host / "run").mkdir(mode=0o700)
    os.chown(host / "run", NOBODY, NOBODY)
    with pytest.raises(HostLockError, match="must belong to the account"):
        take_lock("services", directory=str(host / "run"))
