# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clock differences between hosts, with a slow response not counted as a difference."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import (
    bounds,
    certain_difference,
    differing,
    readable,
)
from sentences import only

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("before", "after", "started", "ended", "difference"),
    [
        (100, 101, 100.2, 100.8, 0),
        (100, 101, 130.2, 130.8, 29.8),
        (100, 101, 70.2, 70.8, -29.8),
        # The response took up to 60 s, so a difference below that is not certain.
        (100, 160, 101, 110, 0),
        (100, 160, 155, 159, 0),
        (100, 160, 40, 50, -60),
    ],
)
def test_certain_difference_excludes_response_time(before, after, started, ended, difference):
    assert certain_difference(bounds(before, after, started, ended)) == pytest.approx(difference, abs=0.5)


def test_unknown_clock_gives_no_difference():
    assert certain_difference(None) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-12.4, "12 s behind"), (125, "125 s ahead of"), (-7200, "120 min behind"), (200000, "56 h ahead of")],
)
def test_difference_is_readable(seconds, text):
    assert readable(seconds) == text


def test_equal_clocks_give_no_warning():
    assert list(differing({})) == []
    assert list(differing({"a": [-0.5, 0.5], "b": [-4.9, -4], "c": [-30, 40]})) == []


def test_differences_from_the_controller_name_the_hosts():
    sentence = only(differing({"a": [-0.5, 0.5], "b": [-126, -125], "c": [8, 9]}))
    assert sentence.startswith(
        "Clocks differ: b is 125 s behind the controller; c is 8 s ahead of the controller. Synch"
    )
    sentence = only(differing({f"n{number}": [60 + number, 61 + number] for number in range(40)}))
    assert sentence.count(" s ahead of") == 10 and "and 30 more hosts" in sentence


def test_difference_between_hosts_names_both():
    assert "c is 8 s ahead of b" in only(differing({"a": [-0.5, 0.5], "b": [-4.9, -4], "c": [4, 4.9]}))


def test_equal_difference_on_all_hosts_points_to_the_controller():
    sentence = only(differing({"a": [-3601, -3600], "b": [-3602, -3601]}))
    assert "All hosts agree, so the controller's clock is probably wrong" in sentence


@pytest.mark.parametrize("seconds", [0, -3600, 90])
def test_host_info_reports_the_clock(tmp_path, seconds):
    """The module runs in a Python whose clock is shifted by ``seconds``."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\nreal = time.time\ntime.time = lambda: real() + {seconds}\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    inventory = tmp_path / "hosts.json"
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    inventory.write_text(json.dumps({"all": {"hosts": {"node1": host}}}))
    run = subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", "node1", "-i", str(inventory), "-m", "daskops.cluster.host_info"]
        + ["-a", "home=/nowhere user=nobody"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=True,
    )
    clock = json.loads(run.stdout.partition("=> ")[2])["clock"]
    assert clock[0] <= seconds <= clock[1] and clock[1] - clock[0] < 60
