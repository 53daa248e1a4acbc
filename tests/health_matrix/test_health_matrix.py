# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module cluster_health with real schedulers of several versions of distributed, in several states.

`make health-matrix` runs these tests. They fetch the versions and take about five minutes. With RECORD=1 they record the
schedulers' responses for the unit tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT, scheduler, wait_until, worker
from recorded import RECORDINGS, ROUTES, STATES, ask, check, health, trim

LOAD = Path(__file__).with_name("load.py")
#: By version of distributed, the newest Python that it supports.
VERSIONS = {"2022.12.1": "3.8", "2023.7.1": "3.9", "2024.1.1": "3.11", "2025.1.0": "3.12", "current": ""}


def find_python(wanted):
    """Return the path of an interpreter of this minor version, or the version for uv to find one."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{wanted}.*/bin/python"))
    return shutil.which(f"python{wanted}") or str(installed[-1] if installed else wanted)


def interpreter(version):
    """Return the interpreter of an environment with this version, which is created once."""
    if version == "current":
        return sys.executable
    directory = ROOT / ".cache/dask" / version
    python = directory / "bin/python"
    if not (directory / "complete").exists():
        uv = [ROOT / ".venv/bin/uv"]
        packages = [f"dask=={version}", f"distributed=={version}", "prometheus-client"]
        subprocess.run([*uv, "venv", "--clear", "--python", find_python(VERSIONS[version]), directory], check=True)
        subprocess.run([*uv, "pip", "install", "--python", python, *packages], check=True)
        (directory / "complete").touch()
    return str(python)


class Matrix:
    """A cluster with the workers w1 and w2, and the contexts for its states."""

    def __init__(self, python, started, workers):
        self.python, self.started, self.workers = python, started, workers
        self.url = started.url

    @contextlib.contextmanager
    def load(self, *states):
        """Keep the cluster in states of load.py."""
        process = subprocess.Popen(
            [self.python, LOAD, self.started.address, *states],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout.readline() == "ready\n", f"no client could create the state {states}"
            yield
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                process.communicate("", timeout=20)
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def stopped(self):
        self.workers["w2"].send_signal(signal.SIGSTOP)
        try:
            time.sleep(4.5)  # longer than silent_after, plus the resolution of the HTTP Date header
            yield
        finally:
            self.workers["w2"].send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def state(self, state):
        loads = [part for part in state.split("-") if part in ("paused", "busy", "holding", "lacking", "queueing")]
        with contextlib.ExitStack() as stack:
            if loads:
                stack.enter_context(self.load(*sorted(loads, reverse=True)))  # pause before loading
            if "stopped" in state:
                stack.enter_context(self.stopped())
            if "missing" in state and self.workers["w2"].poll() is None:
                self.workers["w2"].kill()
                wait_until(lambda: health(self.url)["workers_present"] == 1)
            if "paused" in state or state == "queueing":
                time.sleep(1.5)  # until the next heartbeat
            yield

    def settle(self, count):
        """Wait until the cluster is idle with this number of workers."""
        wait_until(lambda: (said := health(self.url))["idle"] and said["workers_present"] == count and said, 40)


def fetch(url):
    """Return the status, headers and text of a response."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, ""


def record(url, state):
    """Return the responses of a scheduler; under load, preferably from a moment when identity.json fails."""
    for _ in range(20):
        answers = {}
        for route in ROUTES:
            status, headers, body = fetch(f"{url}/{route}")
            kept = {key: headers[key] for key in ("Content-Type", "Date") if key in headers}
            answers[route] = (status, kept, trim(route, body))
        if answers["json/identity.json"][0] == 500 or not state.startswith(("busy", "queueing")):
            break
    return answers


@pytest.mark.parametrize("version", VERSIONS)
def test_verdicts(version, tmp_path):
    python = interpreter(version)
    recorded, told = {}, []
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, python=python))
        workers = {name: stack.enter_context(worker(started, name, python=python)) for name in ("w1", "w2")}
        matrix = Matrix(python, started, workers)
        matrix.settle(2)
        for state in STATES:
            with matrix.state(state):
                for _ in range(3):
                    result = ask(matrix.url)
                    told.append(f"{state}: {result['verdict']} by {result['detail']}, idle: {result['idle']}")
                    print(f"{version} {told[-1]}", flush=True)
                    check(result, state)
                if os.environ.get("RECORD"):
                    recorded[state] = record(matrix.url, state)
            matrix.settle(1 if "missing" in state else 2)
    if recorded:
        RECORDINGS.mkdir(exist_ok=True)
        text = json.dumps(recorded, indent=1, sort_keys=True)
        (RECORDINGS / f"distributed-{version}.json").write_text(f"{text}\n")
