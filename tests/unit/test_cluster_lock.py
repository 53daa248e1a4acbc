# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concurrent runs of ansible-playbook that change the same cluster."""

import json
import os
import signal
import subprocess
import time

import pytest
from ansible_collections.daskops.cluster.plugins.action.cluster_lock import busy
from ansible_collections.daskops.cluster.plugins.module_utils.run_lock import RunLock

PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - daskops.cluster.cluster_lock:
        directory: %s
        timeout: "{{ timeout | default(0) }}"
        lease: "{{ lease | default(60) }}"
    - shell: "touch %s; sleep {{ seconds | default(0) }}"
      when: not ansible_check_mode
    - fail:
      when: failing | default(false)
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that starts a playbook that takes the lock and sleeps. Remaining runs are killed after the test."""
    (tmp_path / "change.yml").write_text(PLAYBOOK % (tmp_path / "daskops", tmp_path / "changing"))
    started = []

    def start(*arguments, **variables):
        command = ["ansible-playbook", "-i", "localhost,", str(tmp_path / "change.yml"), *arguments]
        process = subprocess.Popen(
            [*command, "-e", json.dumps(variables)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def changing(tmp_path):
    """Return the path of a file that a run creates after it has taken the lock."""
    return tmp_path / "changing"


@pytest.fixture
def holder(tmp_path):
    """Return the path of the file with the owner of the lock."""
    return tmp_path / "daskops/holder.json"


def wait_until(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.1)


def test_second_run_ends_and_names_the_first(run, changing):
    first = run("--tags", "all,worker", seconds=60)
    wait_until(changing.exists)
    second = run()
    output = second.communicate(timeout=60)[0]
    assert second.returncode != 0
    assert "Another run is changing this cluster: " in output
    assert "runs 'ansible-playbook change.yml --tags worker' since " in output
    assert "This run waited 0 s and changed nothing." in output
    assert first.poll() is None


def test_holder_that_a_host_forges_is_printable_and_short():
    holder = {"user": "bob\nERROR!", "controller": "\x1b[2J", "command": "x" * 10_000, "since": "\u202e", "seconds": 5}
    said = busy(holder, 60)
    assert "bob?ERROR! on ?[2J runs 'xxx" in said and "since ? UTC (5 s ago)" in said and len(said) < 1000


def test_second_run_waits_for_the_end_of_the_first(run, changing):
    first = run(seconds=15)  # long enough for the second run to ask for the lock
    wait_until(changing.exists)
    second = run(timeout=60)
    output = second.communicate(timeout=60)[0]
    assert second.returncode == 0, output
    assert "Waiting up to 60 s until it ends." in output
    assert first.wait(timeout=1) == 0


@pytest.mark.parametrize("end", ["success", "failure", "interrupted", "killed"])
def test_lock_is_released_however_a_run_ends(run, holder, changing, end):
    process = run(seconds=0 if end in ("success", "failure") else 60, failing=end == "failure")
    wait_until(lambda: changing.exists() or process.poll() is not None)
    if end in ("interrupted", "killed"):
        os.killpg(process.pid, signal.SIGINT if end == "interrupted" else signal.SIGKILL)
    # communicate() returns only if no background process keeps the output open.
    process.communicate(timeout=30)
    wait_until(lambda: not holder.exists(), 10)


def test_lock_is_renewed_and_released_without_pidfd(run, holder, changing, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os\ndel os.pidfd_open\n")  # Linux before 5.3 has no pidfd_open
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    process = run(seconds=60, lease=4)
    wait_until(changing.exists)
    (renewed,) = holder.parent.glob("*.renewed")
    first = renewed.read_text()
    wait_until(lambda: renewed.read_text() not in (first, ""), 10)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    wait_until(lambda: not holder.exists(), 10)


def test_runs_without_changes_ignore_the_lock(run, changing):
    first = run(seconds=60)
    wait_until(changing.exists)
    for arguments in (["--check"], ["--tags", "health"]):
        look = run(*arguments)
        assert look.wait(timeout=60) == 0, look.communicate()[0]
    assert first.poll() is None


def take_over(holder):
    """Take the lock over, as a run does when the lock has expired."""
    for path in holder.parent.glob("*.renewed"):
        path.unlink()
    assert (
        RunLock("ops2.100.7", str(holder.parent)).acquire({"user": "bob", "controller": "ops2", "command": "x"}, 0)
        is None
    )


def test_run_that_lost_the_lock_is_interrupted(run, holder, changing):
    first = run(seconds=60, lease=4)
    wait_until(changing.exists)
    take_over(holder)
    output = first.communicate(timeout=30)[0]
    assert first.returncode != 0
    assert "This run lost the lock of the cluster" in output
    assert "Another run is changing this cluster: bob on ops2" in output


def test_lock_lost_in_a_reboot_is_taken_again(run, holder, changing):
    first = run(seconds=60, lease=4)
    wait_until(changing.exists)
    for path in holder.parent.iterdir():
        path.unlink()
    wait_until(holder.exists, 20)
    assert first.poll() is None


def test_unreachable_lock_host_causes_a_warning(tmp_path):
    inventory = {
        "all": {"hosts": {"dead": {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}}}
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    (tmp_path / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  any_errors_fatal: true\n  tasks:\n"
        "    - daskops.cluster.cluster_lock:\n      delegate_to: dead\n      run_once: true\n"
        "    - debug: {msg: the run goes on}\n"
    )
    command = ["ansible-playbook", "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the run goes on" in done.stdout
    assert "dead, which has the lock of the cluster, cannot be reached: " in " ".join(done.stderr.split())
