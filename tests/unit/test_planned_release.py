# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of a host that a task makes again: it equals the planned one, and check mode shows it before it is staged."""

import json

import pytest
from local_hosts import prepare, run
from machine import Machine
from settled_hosts import GROUPS, HOSTS, SCHEDULER, SETTLED, VARIABLES, WORKER

#: The hosts run another release, and are to run that of `SETTLED`.
OUTDATED = {
    host: {**info, "current": {**info["current"], "id": "one", "content": "0"}, "running": {}}
    for host, info in SETTLED.items()
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the result of `services` in check mode and the machine of each host, and the text of all results."""
    work, machines, hosts = tmp_path_factory.mktemp("work"), {}, {}
    with pytest.MonkeyPatch.context() as patch:
        try:
            for host in HOSTS:
                machine = machines[host] = Machine(tmp_path_factory.mktemp(host), patch, releases=("one",))
                variables, environment = prepare(machine)
                own = {"seen": OUTDATED[host], "kind": "scheduler" if host == "s1" else "worker"}
                hosts[host] = {**VARIABLES, **variables, **own, "home": str(machine.home)}
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
            found = run(work, hosts, tasks, groups, PATH=environment["PATH"])
            yield {host: (found[host]["services"], machines[host]) for host in HOSTS}, json.dumps(found)
        finally:
            for machine in machines.values():
                machine.close()


@pytest.mark.parametrize("host", HOSTS)
def test_check_mode_shows_a_release_that_is_not_staged(results, host):
    services, machine = results[0][host]
    unit = SCHEDULER if host == "s1" else WORKER
    assert services["changed"] and services["restarted"] == [unit]
    units = {one["after_header"]: one["after"] for one in services["diff"] if "after_header" in one}
    if host == "s1":
        journal = {"dask-scheduler-journal.socket", "dask-scheduler-journal@.service"}
        assert set(units) == {SCHEDULER, *journal} and "ExecStart=" in units[SCHEDULER]
    else:
        journal = {"dask-worker-journal.socket", "dask-worker-journal@.service"}
        assert set(units) == {"dask-worker@.service", f"{WORKER}.d/daskops.conf", "dask-workers.target", *journal}
        assert "ExecStart=" in units["dask-worker@.service"] and "MemoryMax=" in units[f"{WORKER}.d/daskops.conf"]
    assert machine.asked() == [] and not (machine.home / "current").exists()


def test_results_contain_no_secrets(results):
    assert "hidden-" not in results[1]
