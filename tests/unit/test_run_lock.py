# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that lets only one run at a time change a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.action import cluster_lock
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user
from ansible_collections.daskops.cluster.plugins.module_utils.run_lock import LockError, RunLock

ADA = {"user": "ada", "controller": "ops1", "command": "ansible-playbook site.yml"}
BOB = {"user": "bob", "controller": "ops2", "command": "ansible-playbook upgrade.yml"}
LEASE = 60


@pytest.fixture
def locks(tmp_path):
    """Return the locks of two runs on one host."""
    return tuple(RunLock(run, str(tmp_path / "daskops")) for run in ("ops1.100.7", "ops2.100.7"))


def on_host(command):
    return subprocess.run(["/bin/sh", "-c", command], check=False).returncode


def test_second_run_gets_the_holder_of_the_lock(locks):
    ada, bob = locks
    assert ada.acquire(ADA, LEASE) is None
    holder = bob.acquire(BOB, LEASE)
    assert {name: holder[name] for name in ADA} == ADA
    assert 0 <= holder["seconds"] < 30
    assert abs(time.mktime(time.strptime(holder["since"], "%Y-%m-%d %H:%M:%S")) - time.mktime(time.gmtime())) < 30


def test_run_can_take_its_own_lock_again_and_keeps_its_start(locks):
    ada, bob = locks
    ada.acquire(ADA, LEASE)
    since = json.loads(Path(ada.path).read_text())["since"]
    time.sleep(1.1)
    assert ada.acquire(ADA, LEASE) is None
    assert bob.acquire(BOB, LEASE)["since"] == since


def test_released_lock_is_free(locks):
    ada, bob = locks
    ada.acquire(ADA, LEASE)
    assert on_host(ada.release_command) == 0
    assert bob.acquire(BOB, LEASE) is None


def test_run_cannot_release_the_lock_of_another(locks):
    ada, bob = locks
    ada.acquire(ADA, LEASE)
    assert on_host(bob.release_command) == 0
    assert bob.acquire(BOB, LEASE)["user"] == "ada"


def test_renewed_lock_does_not_expire(locks):
    ada, bob = locks
    ada.acquire(ADA, 1)
    for _ in range(4):
        time.sleep(0.5)
        assert on_host(ada.renew_command) == 0
        assert bob.acquire(BOB, 1)["user"] == "ada"


def test_expired_lock_is_taken_over_and_cannot_be_renewed(locks):
    ada, bob = locks
    ada.acquire(ADA, 1)
    time.sleep(1.2)
    assert bob.acquire(BOB, 1) is None
    assert on_host(ada.renew_command) == 3
    on_host(ada.release_command)
    assert ada.acquire(ADA, LEASE)["user"] == "bob"


def test_truncated_lock_file_is_ignored(locks):
    ada, bob = locks
    ada.acquire(ADA, LEASE)
    Path(ada.path).write_text('{"run": "ops1.100.7", "upt')
    assert bob.acquire(BOB, LEASE) is None


@pytest.mark.parametrize("uptime", [float("nan"), float("inf"), 1e300, -1e300, "text", None, [1]])
def test_lock_with_an_invalid_time_is_ignored(locks, uptime):
    ada, bob = locks
    ada.acquire(ADA, LEASE)
    os.remove(ada.renewed)
    Path(ada.path).write_text(json.dumps({**ADA, "run": ada.run, "uptime": uptime}))
    assert bob.acquire(BOB, LEASE) is None


def test_holder_is_shown_without_control_characters(locks):
    ada, bob = locks
    ada.acquire({**ADA, "command": "\x1b[2J\u2066" + "x" * 1000, "user": ["ada"]}, LEASE)
    holder = bob.acquire(BOB, LEASE)
    assert holder["command"].startswith("?[2J?xxx") and len(holder["command"]) == 300
    assert holder["user"] == "['ada']"


def test_other_users_cannot_read_the_lock(locks):
    ada, _ = locks
    ada.acquire(ADA, LEASE)
    assert os.stat(ada.directory).st_mode & 0o777 == 0o700
    assert {os.stat(os.path.join(ada.directory, name)).st_mode & 0o777 for name in os.listdir(ada.directory)} == {0o600}


@pytest.mark.parametrize("kind", ["link", "open"])
def test_directory_writable_by_others_is_rejected(locks, tmp_path, kind):
    ada, _ = locks
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        os.symlink(tmp_path / "elsewhere", ada.directory)
    else:
        os.mkdir(ada.directory)
        os.chmod(ada.directory, 0o777)
    with pytest.raises(LockError, match="is not a directory that only root can write to. Remove it and run again."):
        ada.acquire(ADA, LEASE)


def test_process_that_locks_the_guard_file_does_not_block_forever(locks, monkeypatch):
    ada, _ = locks
    ada.acquire(ADA, LEASE)
    program = f"import fcntl; f = open('{ada.directory}/guard'); fcntl.flock(f, 2); print(1, flush=True); input()"
    monkeypatch.setattr("ansible_collections.daskops.cluster.plugins.module_utils.run_lock.GUARD_TIMEOUT", 0.3)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(LockError, match="cannot be used"):
            ada.acquire(ADA, LEASE)
        holder.stdin.close()


def test_only_one_of_many_concurrent_runs_gets_the_lock(tmp_path):
    program = (
        "import sys; from ansible_collections.daskops.cluster.plugins.module_utils.run_lock import RunLock;"
        f"print(RunLock(sys.argv[1], {str(tmp_path / 'daskops')!r}).acquire({{}}, 60) is None)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / ".collections")}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"run{number}"], stdout=subprocess.PIPE, text=True, env=environment
        )
        for number in range(8)
    ]
    assert sorted(run.communicate()[0].strip() for run in runs) == ["False"] * 7 + ["True"]


@pytest.mark.parametrize("controller", ["ops1", "my_laptop", "büro", "Ada's laptop", "x" * 64, "../../etc"])
def test_run_name_is_usable_for_every_controller_name(tmp_path, controller):
    assert RunLock(cluster_lock.run_name(controller, 4194304, 10**15), str(tmp_path / "lock")).acquire({}, 60) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_user_without_an_account_is_named_by_number(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert as_user(54321, cluster_lock.user_name) == "user 54321"


def test_run_that_ignores_sigint_is_terminated(monkeypatch):
    monkeypatch.setattr(cluster_lock, "GRACE", 1)
    ignoring = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            run.stdout.readline()
            cluster_lock.stop(run.pid, cluster_lock.start_time(run.pid), {**BOB, "since": "x", "seconds": 1})
            assert run.wait(timeout=5) == -signal.SIGTERM
            assert b"This run lost the lock of the cluster" in run.stderr.read()
        finally:
            run.kill()
