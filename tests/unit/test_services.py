# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order a host's workers change."""

import pytest
from ansible_collections.daskops.cluster.plugins.modules.services import Activation


@pytest.fixture
def change(tmp_path):
    """The parts of a change, from and to the ports of workers by unit."""

    def parts(before, after, stays=()):
        for name, ports in {"before": before, "after": after}.items():
            directory = tmp_path / name / "services"
            directory.mkdir(parents=True)
            for unit, port in ports.items():
                arguments = f"--worker-port {port} --dashboard-address 10.0.0.1:{port + 100} --no-nanny"
                (directory / f"{unit}.env").write_text(f"DASKOPS_ARGUMENTS=tls://s:8786 {arguments}\n")
        activation = object.__new__(Activation)
        activation.linked, activation.target = str(tmp_path / "before"), str(tmp_path / "after")
        activation.running = dict.fromkeys(before)
        activation.removed = sorted(before.keys() - after.keys())
        activation.restarted = sorted(after.keys() - set(stays))
        return activation.parts()

    return parts


def test_half_of_the_workers_stay_while_the_others_change(change):
    same = {"w1": 8800, "w2": 8801, "w3": 8802}
    assert change(same, same) == [([], ["w1", "w3"]), ([], ["w2"])]


def test_workers_that_take_over_do_so_by_halves_too(change):
    parts = change({"w1": 8800, "w2": 8801}, {"numeric-1": 8800, "numeric-2": 8801})
    assert parts == [(["w1"], ["numeric-1"]), (["w2"], ["numeric-2"])]


@pytest.mark.parametrize(
    "before, after, stays",
    [
        ({"a-1": 8800, "b-1": 8801}, {"a-1": 8800, "a-2": 8801, "b-1": 8802}, {"a-1"}),
        ({"numeric-1": 8800, "numeric-2": 8801}, {"fast-1": 8800, "numeric-1": 8801, "numeric-2": 8802}, set()),
    ],
)
def test_all_change_at_once_where_ports_move_on(change, before, after, stays):
    assert change(before, after, stays) == [([], sorted(after.keys() - stays))]


def test_workers_that_only_go_do_so_at_once(change):
    assert change({"w1": 8800, "w2": 8801}, {"w1": 8800}, stays=["w1"]) == [(["w2"], [])]
