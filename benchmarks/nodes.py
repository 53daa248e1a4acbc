# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the benchmarks, a scheduler and eight workers in containers, and functions that measure on them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
INVENTORY = ["-i", f"{CHECKOUT}/testbed/inventory.py", "-i", f"{HERE}/hosts.yml"]
SCHEDULER = "172.31.254.10"
WORKERS = [f"172.31.254.1{number}" for number in range(1, 9)]
USER, KEY = "ops", CHECKOUT / ".cache/testbed/id_ed25519"
AUTHORITY = CHECKOUT / ".cache/testbed/tls-daskops-bench/ca.pem"
SSH = ["ssh", "-F", f"{CHECKOUT}/testbed/ssh_config", "-i", str(KEY), "-l", USER]
#: Maximum seconds to wait for a cluster.
PATIENCE = 120.0


def play(path: str, *arguments: str) -> tuple[float, str]:
    """Run a playbook, and return its time in seconds and its output."""
    start = time.perf_counter()
    run = subprocess.run(
        ["ansible-playbook", *INVENTORY, path, *arguments], cwd=CHECKOUT, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if run.returncode != 0:
        raise SystemExit(run.stdout + run.stderr)
    return seconds, run.stdout


def told(what: str, seconds: float) -> float:
    """Print a result immediately, so that an interrupted benchmark has printed its results so far."""
    print(f"{what:<52} {seconds:7.1f} s", flush=True)
    return seconds


def settle() -> None:
    """Finish pending disk writes."""
    # ext4 checks all recently deleted inodes in memory before it creates a new one, so earlier deletions would slow down the
    # measured work.
    os.sync()
    with contextlib.suppress(PermissionError):
        Path("/proc/sys/vm/drop_caches").write_text("3")


@contextlib.contextmanager
def nodes(*arguments: str) -> Iterator[None]:
    """Create nine new nodes; ``arguments`` are for the playbook that creates them."""
    settle()
    told("creating nine nodes", play("testbed/create.yml", *arguments)[0])
    try:
        yield
    finally:
        play("testbed/destroy.yml")


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """Create nine nodes with a running cluster of the collection."""
    with nodes("-e", "testbed_environment=true"):
        told("site.yml", play("playbooks/site.yml")[0])
        yield


def on_hosts(commands: dict[str, str]) -> None:
    """Run commands, by host address, in parallel, like `pdsh`."""
    running = [subprocess.Popen([*SSH, host, command], stdin=subprocess.DEVNULL) for host, command in commands.items()]
    if any([process.wait() for process in running]):
        raise SystemExit(f"A command failed: {commands}")


def stop() -> None:
    """Stop all services, and wait until they have ended. They still start at boot if they did before."""
    on_hosts(dict.fromkeys(WORKERS, "sudo systemctl stop dask-workers.target 'dask-worker@*'"))
    on_hosts({SCHEDULER: "sudo systemctl stop dask-scheduler"})


def start() -> None:
    """Start all services at once with systemctl only."""
    on_hosts(
        {
            SCHEDULER: "sudo systemctl start dask-scheduler",
            **dict.fromkeys(WORKERS, "sudo systemctl start dask-workers.target"),
        }
    )


class Watch(threading.Thread):
    """A thread that polls the scheduler for its number of workers, 20 times a second.

    Parameters
    ----------
    encrypted : bool
        Whether the scheduler serves HTTPS, like the schedulers of the collection.

    Attributes
    ----------
    registered : float or None
        Time when all workers were registered (`time.perf_counter`).
    """

    def __init__(self, encrypted: bool = True) -> None:
        super().__init__(daemon=True)
        self.encrypted = encrypted
        self.registered: float | None = None
        self.start()

    def run(self) -> None:
        context = ssl.create_default_context(cafile=str(AUTHORITY)) if self.encrypted else None
        deadline = time.monotonic() + PATIENCE
        connection = None
        while time.monotonic() < deadline:
            try:
                if connection is None:
                    if context:
                        connection = http.client.HTTPSConnection(SCHEDULER, 8787, timeout=5, context=context)
                    else:
                        connection = http.client.HTTPConnection(SCHEDULER, 8787, timeout=5)
                connection.request("GET", "/json/counts.json")
                if json.loads(connection.getresponse().read())["workers"] == len(WORKERS):
                    self.registered = time.perf_counter()
                    return
            except (OSError, http.client.HTTPException, ValueError):
                connection = None
            time.sleep(0.05)

    def wait(self) -> float:
        """Wait until all workers are registered, and return the time."""
        self.join()
        if self.registered is None:
            raise SystemExit(f"Not all workers were registered within {PATIENCE:g} s.")
        return self.registered


def seconds_until_registered(command: Sequence[str] | None = None, encrypted: bool = True) -> float:
    """Return the seconds from the start of a command, or of `start`, until all workers are registered.

    A command without the collection (``encrypted=False``) keeps its cluster until its input is closed.
    """
    # Ansible keeps connections for a minute, so use a new directory for them: each command must connect again.
    with tempfile.TemporaryDirectory() as connections:
        environment = {**os.environ, "ANSIBLE_SSH_CONTROL_PATH_DIR": connections}
        pipe = subprocess.PIPE
        watch, begin = Watch(encrypted), time.perf_counter()
        if command is None:
            start()
            return watch.wait() - begin
        with subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        ) as process:
            registered = watch.wait()
            output, dummy = process.communicate()
        for connection in Path(connections).iterdir():
            subprocess.run(["ssh", "-o", f"ControlPath={connection}", "-O", "exit", "-"], capture_output=True)
    if process.returncode != 0:
        raise SystemExit(output)
    return registered - begin


def load() -> str:
    """Describe the load of the machine for the output."""
    return f"load average at the start {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
