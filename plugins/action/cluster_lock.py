# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the lock of the cluster, and keep it while ``ansible-playbook`` runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from ansible import context
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.daskops.cluster.plugins.module_utils.run_lock import printable
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils._inspection import arguments_for, checked
from ansible_collections.daskops.cluster.plugins.plugin_utils.run_command import command_line, only_looks
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import values_of

display = Display()

#: Seconds between two attempts to take the lock.
INTERVAL = 2
#: Seconds between two checks whether a run has ended.
LOOK = 0.5
#: Exit status of the command that renews the lock if the lock is lost.
LOST = 3
#: Seconds that an interrupted run may take to end.
GRACE = 10


def start_time(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot; None if the process has ended.

    Id and start time together identify a process.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]  # a zombie has ended


def wait_for_end(pid: int, started: str | None, timeout: float) -> bool:
    """Wait at most ``timeout`` seconds until a process has ended, and return whether it has.

    The function polls, because Linux 4.18 and some containers have no file descriptors for processes (pidfd).
    """
    deadline = time.monotonic() + timeout
    while start_time(pid) == started:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


def run_name(controller: str, pid: int, started: str | None) -> str:
    """Return a name for a run with the characters and the length that `RunLock` allows."""
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', controller)[:60]}.{pid}.{started}"


def user_name() -> str:
    """Return the user's name; the id if it has no name, because a container may have no entry in ``/etc/passwd``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"user {os.getuid()}"


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if self._task.check_mode or only_looks(context.CLIARGS):
            return {"changed": False, "held": False}
        # Actions run in a child of ansible-playbook.
        playbook = os.getppid()
        controller = socket.gethostname()
        started = start_time(playbook)
        lock = {
            "id": run_name(controller, playbook, started),
            "holder": {
                "user": user_name(),
                "controller": controller,
                "command": command_line(context.CLIARGS),
            },
            **{name: arguments[name] for name in ("lease", "directory")},
        }
        deadline = time.monotonic() + arguments["timeout"]
        told = False

        host = self._task.delegate_to or task_vars["inventory_hostname"]
        inspects = arguments["inspect"] and host in task_vars["ansible_play_hosts_all"]

        def acquire() -> dict[str, Any]:
            return self.execute("take_cluster_lock", lock, task_vars)

        def acquire_and_inspect() -> dict[str, Any]:
            """Take the lock and inspect the host with one remote command."""
            try:
                values = values_of(self._templar, self._task, task_vars, [host])[host]
                questions = arguments_for(host, values, task_vars)
            except ValueError:
                return acquire()  # the task that inspects all hosts reports the invalid variable
            before = time.time()
            info = self.execute("inspect_host", {**questions, "lock": lock}, task_vars)
            found: dict[str, Any] = info.pop("lock", {})
            if not found:
                return acquire()  # the task that inspects all hosts fails with the reason
            if found["held"]:
                found.update(host=host, info=checked(info, questions["worker_interfaces"], before, time.time()))
            return {"changed": False, **found}

        while True:
            try:
                found = acquire_and_inspect() if inspects else acquire()
            except AnsibleConnectionFailure as error:
                # Do not fail: with run_once, even ignore_unreachable ends the play. Later tasks fail if they need the host.
                display.warning(
                    f"{host}, which has the lock of the cluster, cannot be reached: {error}. This run continues without "
                    "the lock. Make sure that no other run changes the cluster at the same time."
                )
                return {"changed": False, "held": False}
            if found.get("held"):
                self.keep(playbook, started, acquire, found, arguments["lease"])
            if "holder" not in found:
                return found
            if time.monotonic() > deadline:
                return {**found, "failed": True, "msg": busy(found["holder"], arguments["timeout"])}
            if not told:
                display.display(f"{waiting(found['holder'])} Waiting up to {arguments['timeout']} s until it ends.")
                told = True
            time.sleep(INTERVAL)

    def keep(
        self,
        playbook: int,
        started: str | None,
        acquire: Callable[[], dict[str, Any]],
        commands: dict[str, str],
        lease: int,
    ) -> None:
        """Start the process that renews the lock while ``ansible-playbook`` runs, and releases it afterwards.

        Parameters
        ----------
        playbook : int
            Id of the process of ``ansible-playbook``.
        started : str
            Its start time, from `start_time`.
        acquire : callable
            Takes the lock and returns the result of the module.
        commands : dict of str
            Shell commands for the host: ``renew`` and ``release``.
        lease : int
            Seconds after which the lock expires.
        """
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        # This is a forked process, which must not return into Ansible.
        try:
            os.setsid()
            if os.fork() == 0:
                silence()
                self.keep_until_end(playbook, started, acquire, commands, lease)
        finally:
            os._exit(0)

    def keep_until_end(
        self,
        playbook: int,
        started: str | None,
        acquire: Callable[[], dict[str, Any]],
        commands: dict[str, str],
        lease: int,
    ) -> None:
        """Renew the lock until ``ansible-playbook`` ends, then release it."""
        while not wait_for_end(playbook, started, lease / 4):
            # Do not stop the run if the host is unreachable. In that case, the health check of the next batch fails.
            if self.on_host(commands["renew"]) != LOST:
                continue
            # After a reboot of the host, the lock is free again.
            with contextlib.suppress(AnsibleError, OSError):
                holder = acquire().get("holder")
                if holder:
                    stop(playbook, started, holder)
                    return
        self.on_host(commands["release"])

    def on_host(self, command: str) -> int | None:
        """Return the exit status of a shell command on the host; None if the host cannot be reached."""
        try:
            return self._low_level_execute_command(command, executable="/bin/sh")["rc"]
        except (AnsibleError, OSError):
            return None


def silence() -> None:
    """Close this process's copies of Ansible's output, so that programs that read the output do not wait for it."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    display.verbosity = 0
    display._final_q = None


def stop(playbook: int, started: str | None, holder: dict[str, Any]) -> None:
    """Interrupt a run that has lost the lock. Terminate it if it ignores SIGINT, as in the background of a script."""
    message = (
        "ERROR! This run lost the lock of the cluster, because it could not renew the lock for too long. It is interrupted. "
        f"{waiting(holder)} Wait until it ends, check the cluster with status.yml, and run again."
    )
    try:
        with open(f"/proc/{playbook}/fd/2", "w", encoding="utf-8") as errors:
            print(f"\n{message}", file=errors)
    except OSError:
        pass  # the run has ended, or this process cannot write to its output
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            os.kill(playbook, number)
        if wait_for_end(playbook, started, GRACE):
            return


def waiting(holder: dict[str, Any]) -> str:
    """Return a sentence with the user, the command and the start time of another run."""
    told = {name: printable(value) for name, value in holder.items()}
    return (
        f"Another run is changing this cluster: {told['user']} on {told['controller']} runs '{told['command']}' "
        f"since {told['since']} UTC ({told['seconds']} s ago)."
    )


def busy(holder: dict[str, Any], timeout: int) -> str:
    """Return the message for a run that waited until its timeout."""
    return (
        f"{waiting(holder)} This run waited {timeout} s and changed nothing. Run it again after the other run has ended, or "
        "increase dask_lock_timeout (seconds)."
    )
