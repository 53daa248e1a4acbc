# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that are printed as they are."""

import json

import pytest
from playbook_runs import play

PLAN = {"purpose": "change", "plays": {"serial": 1, "rolling": ["localhost"]}, "hosts": {"localhost": {}}}
CHANGE = {"changed": True, "restarted": ["dask-worker@1.service"], "removed": []}


@pytest.fixture
def report(tmp_path):
    """Return a function that runs a task with arguments of the module."""

    def run(variables=None, **arguments):
        tasks = [{"ansible.builtin.set_fact": variables}] if variables else []
        tasks.append({"name": "Report", "daskops.cluster.report": arguments})
        playbook = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(json.dumps(playbook))
        return play(tmp_path / "play.yml", tmp_path)

    return run


def test_lines_are_printed_as_text(report):
    run = report(lines=['host   "a"', "  worker\\1"])
    assert run.returncode == 0, run.stderr
    assert "\nTASK [Report] " in run.stdout and '\nhost   "a"\n  worker\\1\nok: [localhost]\n' in run.stdout


def test_lines_are_printed_without_control_characters(report):
    run = report(lines=["evil \x1b[31mred\x1b]0;t\x07 \rOVER\u202e", "two\nlines\tZoë"])
    assert "\nevil ?[31mred?]0;t? ?OVER?\ntwo\nlines\tZoë\n" in run.stdout, run.stdout + run.stderr


def test_problems_fail_the_task(report):
    run = report(lines=["a table", "no memory"], problems=["no memory"])
    assert run.returncode != 0
    assert "\na table\nno memory\n" in run.stdout and "The report has 1 problem; see above." in run.stdout


def test_services_that_were_restarted_and_the_duration(report):
    run = report(variables={"__dask_worker_change": CHANGE}, lines=["healthy"], plan=PLAN)
    assert run.returncode == 0, run.stderr
    said = run.stdout.partition("\nhealthy\n")[2].splitlines()
    assert said[0] == "Started or restarted: dask-worker@1 of localhost."
    seconds = int(said[1].removeprefix("The run took ").removesuffix(" s."))
    assert 0 < seconds < 59, said
