# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services whose processes run another release or unit than the wanted one."""

from ansible_collections.daskops.cluster.plugins.module_utils.restarts import OTHER_UNIT, changes, interrupted
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import units_to_restart
from hypothesis import given
from hypothesis import strategies as st

UNITS = ["dask-scheduler.service", "dask-worker@1.service", "dask-worker@2.service"]
RELEASES = ["a", "b"]
wanted_services = st.dictionaries(st.sampled_from(UNITS), st.sampled_from(RELEASES))
running_services = st.dictionaries(st.sampled_from(UNITS), st.sampled_from([*RELEASES, None, f"a{OTHER_UNIT}"]))


def test_service_is_restarted_for_another_release_or_unit():
    running = {"same": "a", "other": "a", "unit": f"a{OTHER_UNIT}", "starting": None, "gone": "a"}
    wanted = {"same": "a", "other": "b", "unit": "a", "starting": "a", "new": "a"}
    assert changes(running, wanted) == (["gone"], ["new", "other", "starting", "unit"])
    assert interrupted(running, wanted) == ["gone", "other", "starting", "unit"]


@given(running=running_services, wanted=wanted_services)
def test_changes_lead_to_the_wanted_services(running, wanted):
    removed, restarted = changes(running, wanted)
    after = {unit: release for unit, release in running.items() if unit not in removed}
    after.update((unit, wanted[unit]) for unit in restarted)
    assert after == wanted
    assert changes(after, wanted) == ([], [])
    assert set(interrupted(running, wanted)) == {*removed, *restarted} & running.keys()


@given(running=running_services, wanted=wanted_services)
def test_controller_and_host_decide_alike(running, wanted):
    workers = {unit: release for unit, release in running.items() if unit != "dask-scheduler.service"}
    assert units_to_restart(running, wanted, "worker") == interrupted(workers, wanted)
