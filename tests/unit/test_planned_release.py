# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of a host that a task makes again: it equals the planned one, and check mode shows it before it is staged."""

import json

import pytest
from local_hosts import prepare, run
from machine import Machine
from settled_hosts import GROUPS, HOSTS, SETTLED, VARIABLES, WORKER

#: The hosts run another release, and are to run that of `SETTLED`.
OUTDATED = {
    host: {**info, "current": {**info["current"], "id": "one", "content": "0"}, "running": {}}
    for host, info in SETTLED.items()
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the results of `services` in check mode by host, and the machine that stands for all hosts."""
    work = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        machine = Machine(tmp_path_factory.mktemp("machine"), patch, releases=("one",))
        try:
            variables, environment = prepare(machine)
            own = {**VARIABLES, **variables, "home": str(machine.home)}
            hosts = {host: {**own, "seen": OUTDATED[host], "kind": "worker"} for host in HOSTS}
            hosts["s1"]["kind"] = "scheduler"
            tasks = [
                {"ansible.builtin.set_fact": {"__dask_host": "{{ seen }}"}},
                {"daskops.cluster.plan": {}, "run_once": True, "register": "kept_plan"},
                {
                    "daskops.cluster.services": {"home": "{{ home }}", "kind": "{{ kind }}", "plan": "{{ kept_plan }}"},
                    "check_mode": True,
                    "register": "kept_services",
                },
            ]
            groups = {group: dict.fromkeys(names, {}) for group, names in GROUPS.items()}
            yield run(work, hosts, tasks, groups, PATH=environment["PATH"]), machine
        finally:
            machine.close()


def test_check_mode_shows_a_release_that_is_not_staged(results):
    found, machine = results
    for host in ("w1", "w2"):
        services = found[host]["services"]
        assert services["changed"] and services["restarted"] == [WORKER]
        units = {one["after_header"]: one["after"] for one in services["diff"] if "after_header" in one}
        assert set(units) == {"dask-worker@.service", f"{WORKER}.d/daskops.conf", "dask-workers.target"}
        assert "ExecStart=" in units["dask-worker@.service"] and "MemoryMax=" in units[f"{WORKER}.d/daskops.conf"]
    assert found["s1"]["services"]["restarted"] == ["dask-scheduler.service"]
    assert machine.asked() == [] and not (machine.home / "current").exists()


def test_results_contain_no_secrets(results):
    assert "hidden-" not in json.dumps(results[0])
