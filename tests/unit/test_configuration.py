# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of a service's settings, their origins, and configuration drift."""

import contextlib
import json
import time
import urllib.request

import dask
import numpy
import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.health import Expected, judge
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import SchedulerHTTP
from ansible_collections.daskops.cluster.plugins.modules.configuration_info import ask
from conftest import scheduler, wait_until, worker
from daskops_runtime import configuration

SPILL, TARGET = "distributed.worker.memory.spill", "distributed.worker.memory.target"
RELEASE = "distributed: {worker: {memory: {spill: 0.72, target: 0.5}}, comm: {retry: {count: 7}}}"
FOREIGN = "distributed: {worker: {memory: {target: 0.4}, connections: {outgoing: 11, incoming: 10}}}"
PRELOAD = "import dask\n\n\ndef dask_setup(server):\n    dask.config.set({'distributed.worker.profile.cycle': '7s'})\n"


class Service:
    """A scheduler or worker with a configuration file of the release, a file of the user and an environment variable."""

    def __init__(self, directory):
        self.directory = directory
        for name, text in {"release.yaml": RELEASE, ".config/dask/own.yaml": FOREIGN, "preset.py": PRELOAD}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        self.variables = {
            "DASK_CONFIG": str(directory / "release.yaml"),
            "HOME": str(directory),
            "DASK_DISTRIBUTED__COMM__RETRY__COUNT": "8",
            "RUNTIME_DIRECTORY": str(directory),
        }

    def ask(self):
        return ask(str(self.directory / "control.sock"), 10)


@pytest.fixture(scope="module", params=[False, True], ids=["worker", "nanny"])
def services(request, tmp_path_factory):
    """Return a client, the two services, and the scheduler's process. The worker has a nanny in one variant."""
    with contextlib.ExitStack() as stack:
        ours, theirs = (Service(tmp_path_factory.mktemp(name)) for name in ("s", "w"))
        for_scheduler = {"scheduler.preload": ["daskops_runtime.scheduler", str(ours.directory / "preset.py")]}
        started = stack.enter_context(scheduler(ours.directory, runtime=True, settings=for_scheduler, **ours.variables))
        for_worker = {"worker.preload": ["daskops_runtime.worker", str(theirs.directory / "preset.py")]}
        stack.enter_context(
            worker(started, "w1", nanny=request.param, runtime=True, settings=for_worker, **theirs.variables)
        )
        client = stack.enter_context(started.client())
        client.wait_for_workers(1, 30)
        yield client, ours, theirs, started


def drift(started):
    """Return the drift that the scheduler and its worker report."""
    with urllib.request.urlopen(f"{started.url}/daskops/summary.json") as response:
        summary = json.load(response)
    return summary["scheduler"]["drift"], summary["workers"][0]["drift"]


OWN = ["distributed.worker.connections.outgoing"]  # set to 11 in the user's file; the default is 10


def test_each_setting_has_its_origin(services):
    for service in services[1:3]:
        told = service.ask()
        settings = told["settings"]
        assert settings[SPILL] == [0.72, "file"]
        assert settings[TARGET] == [0.5, "file"]
        assert settings[OWN[0]] == [11, str(service.directory / ".config/dask/own.yaml")]
        assert settings["distributed.comm.retry.count"] == [
            "********",
            "environment variable DASK_DISTRIBUTED__COMM__RETRY__COUNT",
        ]
        assert settings["distributed.scheduler.allowed-failures"] == [3, "default"]
        assert settings["distributed.worker.profile.cycle"] == ["7s", "the process"]  # set by a preload
        assert told["drift"] == OWN
    assert services[2].ask()["settings"]["--nthreads"] == ["1", "command line"]
    assert services[1].ask()["settings"]["--port"] == ["0", "command line"]


def test_setting_changed_at_run_time_is_drift(services):
    client, _, theirs, started = services
    wait_until(lambda: drift(started) == (OWN, OWN))

    def change(value):
        import dask

        dask.config.set({"distributed.worker.memory.spill": value})

    time.sleep(1)  # a setting changed at the very start would count as set by a preload
    client.run(change, 0.79)
    wait_until(lambda: drift(started) == (OWN, [*OWN, SPILL]), 60)
    assert theirs.ask()["settings"][SPILL] == [0.79, "the process"]
    report = SchedulerHTTP(started.url).report()
    found = judge(report, Expected())
    assert found["verdict"] == "degraded"
    assert found["drift"] == {"scheduler": OWN, "w1": [*OWN, SPILL]}
    assert (
        f"Settings differ from the configuration of the release: {OWN[0]}, {SPILL} on scheduler, w1."
        in found["problems"][0]
    )
    client.run(change, 0.72)
    wait_until(lambda: drift(started) == (OWN, OWN), 60)


def test_temporary_settings_are_no_drift_and_any_value_is_compared(monkeypatch):
    settings = {"a": 1, "b": {"c": 2}}
    for name in ("config", "global_config"):  # two names of one dictionary in Dask
        monkeypatch.setattr(dask.config, name, settings)
    monkeypatch.setattr(dask.config, "defaults", [{"a": 1}])
    origins = configuration.Origins()
    origins.sources = [("/own.yaml", {"e.f": 7, "a": 1})]
    origins.begin()

    def looks(number):
        for dummy in range(number):
            origins.look()
        return origins.get_drift()

    with dask.config.set({"b.c": 3}):
        assert looks(configuration.LOOKS - 1) == []
    assert looks(1) == []
    with dask.config.set({"b.c": numpy.arange(3), "e_f": 7}):  # comparing an array gives no bool
        assert looks(configuration.LOOKS) == ["b.c", "e-f"]
    # A package that a task imports may add its defaults.
    dask.config.update_defaults({"later": {"x": 1}}, config=dask.config.config, defaults=dask.config.defaults)
    assert looks(configuration.LOOKS) == []
    assert origins.find("later.x", 1, configuration.read_defaults()) == "default"


def test_old_names_in_files_are_read_as_dask_does(tmp_path, monkeypatch):
    (tmp_path / "dask.yaml").write_text("distributed: {p2p: {disk: false}, worker: {memory: {}}}")
    monkeypatch.setattr(dask.config, "paths", [str(tmp_path / "dask.yaml")])
    origins = configuration.Origins()
    name = str(tmp_path / "dask.yaml")
    assert origins.find("distributed.p2p.storage.disk", False, {}) == name
    origins.begin()
    assert origins.get_drift() == []  # read, but not in use in this process


def test_all_values_of_an_option_are_reported():
    words = ["tcp://x:1", "--preload", "a", "--no-nanny", "--preload", "b", "--name=n"]
    assert configuration.read_arguments(words) == {"--preload": "a, b", "--no-nanny": "", "--name": "n"}


def test_manually_edited_file_is_drift(services):
    """After an edit the service no longer runs with the settings in its file."""
    _, ours, theirs, started = services
    (theirs.directory / "release.yaml").write_text(RELEASE.replace("spill: 0.72", "spill: 0.74"))
    wait_until(lambda: drift(started) == (OWN, [*OWN, SPILL]), 30)
    (theirs.directory / "release.yaml").write_text(RELEASE)
    wait_until(lambda: drift(started) == (OWN, OWN), 30)


def test_tasks_that_use_a_client_are_no_drift(services):
    client, _, _, started = services

    def compute():
        from distributed import get_client, secede

        with_client = get_client()
        secede()
        return with_client.submit(sum, [1, 2], pure=False).result()

    assert client.submit(compute, pure=False).result(30) == 3
    assert services[2].ask()["drift"] == OWN
