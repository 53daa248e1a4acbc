# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of workers with ``dask_worker_scaling``, and a stub of systemd that restarts them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from conftest import RUNTIME, NotifySocket, environment, wait_until


class Unit:
    """A worker's unit that starts again whenever its process ends, like ``Restart=always``, until it is stopped.

    Attributes
    ----------
    codes : list of int
        Exit statuses of the processes that have ended.
    """

    def __init__(self, address, name, *args, directory, settings=None, **variables):
        self.directory = Path(tempfile.mkdtemp())  # tmp_path is too long for a Unix socket
        self.notify = NotifySocket(self.directory)
        self.command = [sys.executable, "-s", str(RUNTIME / "daskops_runtime/launch.py"), "distributed.cli.dask_worker"]
        self.command += [address, "--name", name, "--nthreads", "1", "--memory-limit", "1GiB", "--host", "127.0.0.1"]
        self.command += ["--dashboard-address", "127.0.0.1:0", "--no-dashboard", "--no-nanny", *args]
        defaults = {"worker.memory.pause": False, "worker.preload": ["daskops_runtime.worker"]}
        own = {
            "DASKOPS_SCALING": "manual",
            "DASKOPS_STANDBY": address,
            "DASKOPS_RELEASE": f"shared.{name}",
            "RUNTIME_DIRECTORY": str(self.directory),
            "NOTIFY_SOCKET": self.notify.path,
        }
        self.variables = environment({**defaults, **(settings or {})}, {**own, **variables})
        self.log = directory / f"{name}.log"
        self.codes = []
        self.ended = threading.Event()
        self.process = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.is_set():
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    self.command, env=self.variables, stdout=log, stderr=log, start_new_session=True
                )
            self.codes.append(self.process.wait())
            self.ended.wait(0.2)

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.process)
        return self

    def __exit__(self, *dummy):
        self.ended.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.thread.join(20)
        self.notify.sock.close()
        shutil.rmtree(self.directory)

    def stop(self, timeout=20):
        """Stop the unit like systemd: run ExecStop, then send SIGTERM. Return the output of ExecStop."""
        self.ended.set()
        variables = {
            "RUNTIME_DIRECTORY": str(self.directory),
            "MAINPID": str(self.process.pid),
            "DASKOPS_DRAIN_TIMEOUT": str(timeout),
        }
        command = [sys.executable, "-m", "daskops_runtime.stop"]
        said = subprocess.run(
            command, env=environment({}, variables), capture_output=True, text=True, check=True, timeout=timeout + 20
        )
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self.thread.join(20)
        return said.stdout

    def notifies(self, line):
        """Return whether the present process has sent this line."""
        return any(pid == self.process.pid for pid, lines in self.notify.having(line))

    def memory(self):
        """Return the resident memory of the process in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
