# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts and plugins from a user's client, for workers without a nanny that a supervisor starts again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
from conftest import environment, scheduler, wait_until, worker, workers_of
from distributed import Environ, NannyPlugin, PipInstall, UploadDirectory, WorkerPlugin
from distributed.diagnostics.plugin import CondaInstall

SETTINGS = {"worker.preload": ["daskops_runtime.worker"]}


@contextlib.contextmanager
def supervised(scheduler, name):
    """Run a worker and start it again whenever it exits, as systemd does."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler.address, "--name", name, "--no-nanny"]
    command += ["--nthreads", "1", "--memory-limit", "1GiB", "--host", "127.0.0.1", "--no-dashboard"]
    process = subprocess.Popen(
        ["sh", "-c", 'while :; do "$@"; sleep 0.2; done', "sh", *command],
        env=environment(SETTINGS, {"DASKOPS_RELEASE": f"shared.{name}"}),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    with scheduler(tmp_path_factory.mktemp("without"), runtime=True) as started:
        yield started


@pytest.fixture(scope="module")
def client(started):
    """Return a client of two workers without nannies, `w1` and `w2`."""
    with supervised(started, "w1"), supervised(started, "w2"), started.client() as client:
        client.wait_for_workers(2, timeout=30)
        yield client


def pids(client):
    wait_until(lambda: len(workers_of(client)) == 2)
    names = {address: told["name"] for address, told in workers_of(client).items()}
    return {names[address]: pid for address, pid in client.run(os.getpid).items()}


@pytest.mark.parametrize("busy", [False, True])
def test_restart_workers(client, busy):
    """As with a nanny, a restart does not wait for running tasks."""
    before = pids(client)
    future = client.submit(time.sleep, 100, workers=["w1"], pure=False) if busy else None
    if busy:
        wait_until(lambda: any(client.processing().values()))
    begin = time.monotonic()
    assert client.restart_workers(["w1"], timeout=30) == {"w1": "OK"}
    assert time.monotonic() - begin < 20
    after = pids(client)
    assert after["w2"] == before["w2"] and after["w1"] != before["w1"]
    if future:
        client.cancel(future)


def test_restart_workers_by_address(client):
    before = pids(client)
    addresses = list(workers_of(client))
    assert client.restart_workers(addresses, timeout=30) == dict.fromkeys(addresses, "OK")
    assert not set(before.values()) & set(pids(client).values())


def test_restart_workers_reports_a_worker_that_does_not_return(started, client):
    variables = {"DASKOPS_RELEASE": "shared.w3"}
    for options, outcome in (({}, TimeoutError), ({"raise_for_error": False}, {"w3": "timed out"})):
        with worker(started, "w3", runtime=True, **variables):  # this worker has no supervisor
            client.wait_for_workers(3, timeout=30)
            if outcome is TimeoutError:
                with pytest.raises(TimeoutError, match="w3|not returned"):
                    client.restart_workers(["w3"], timeout=2, **options)
            else:
                assert client.restart_workers(["w3"], timeout=2, **options) == outcome


def test_restart_workers_without_the_runtime_is_rejected_as_by_dask(started, client):
    with worker(started, "somebodys"):
        client.wait_for_workers(3, timeout=30)
        with pytest.raises(ValueError, match="nanny"):
            client.restart_workers(["somebodys"])
    wait_until(lambda: len(workers_of(client)) == 2)


def test_restart(client):
    before = pids(client)
    client.restart(timeout=60)
    assert not set(before.values()) & set(pids(client).values())
    assert client.submit(sum, [1, 2]).result(20) == 3


def greeting():
    """Return a nanny plugin of a local class, which is pickled by value."""

    class Greeting(NannyPlugin):
        def setup(self, nanny):
            nanny.greeting = "hello"

    return Greeting()


def test_nanny_plugin_is_rejected_without_nannies(client, tmp_path):
    (tmp_path / "module.py").touch()
    for plugin in (greeting(), Environ({"GREETING": "hello"}), UploadDirectory(str(tmp_path))):
        with pytest.raises(RuntimeError, match=r"no worker of this cluster has one.*dask_worker_nanny"):
            client.register_plugin(plugin)
        with pytest.raises(ValueError, match="does not exist"):  # the plugin is not registered
            client.unregister_worker_plugin(plugin.name if hasattr(plugin, "name") else "Environ", nanny=True)


@pytest.mark.parametrize(
    "plugin", [PipInstall(["scikit-learn"]), PipInstall(["a"], restart_workers=True), CondaInstall(["a"])]
)
def test_plugin_that_installs_packages_is_rejected(client, plugin):
    with pytest.raises(RuntimeError, match=r"read-only.*dask_environment_lock"):
        client.register_plugin(plugin, name="anything")


def test_older_plugin_that_installs_packages_is_rejected(client):
    with pytest.raises(RuntimeError, match="dask_environment_lock"):
        client.register_plugin(WorkerPlugin(), name="pip-install-0123")


def test_other_plugins_still_work(client):
    client.register_plugin(WorkerPlugin(), name="mine")
    client.unregister_worker_plugin("mine")


def test_nanny_plugin_warns_about_workers_without_a_nanny(started, client):
    nannied = worker(started, "nannied", nanny=True, runtime=True, DASKOPS_RELEASE="shared.n")
    with warnings.catch_warnings(record=True) as caught, nannied:
        warnings.simplefilter("always")
        client.wait_for_workers(3, timeout=40)
        answers = client.register_plugin(greeting(), name="greeting")
        assert [answer["status"] for answer in answers.values()] == ["OK"]
        said = wait_until(lambda: [str(one.message) for one in caught if "greeting" in str(one.message)])
        assert "has no effect on 2 workers without a nanny, such as w1, w2" in said[0]
        client.unregister_worker_plugin("greeting", nanny=True)
    wait_until(lambda: len(workers_of(client)) == 2)


def test_nanny_plugin_warns_when_a_worker_without_a_nanny_joins(tmp_path):
    with scheduler(tmp_path, runtime=True) as started, started.client() as client:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client.register_plugin(greeting(), name="greeting")
            with worker(started, "w1", runtime=True):
                said = wait_until(lambda: [str(one.message) for one in caught if "greeting" in str(one.message)])
        assert "have no effect on worker w1, which has no nanny: greeting" in said[0]
