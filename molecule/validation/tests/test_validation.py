# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation errors of site.yml: the message names the cause and the remedy, and no host is changed."""

import re
from pathlib import Path

import pytest
import yaml

HOSTS = yaml.safe_load((Path(__file__).parent.parent / "hosts.yml").read_text())

CASES = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text())


@pytest.fixture
def rejected(cluster, play, tmp_path):
    """Return a function that runs site.yml and asserts that it fails with one or more messages and without a change."""

    def run(inventory, message, *arguments):
        hosts = tmp_path / "hosts.yml"
        hosts.write_text(yaml.safe_dump(inventory))
        testbed = Path(__file__).parents[3] / "testbed" / "inventory.py"
        done = play("site", *arguments, inventory=[f"--inventory={testbed}", f"--inventory={hosts}"])
        assert done.returncode != 0, done.output
        for pattern in [message] if isinstance(message, str) else message:
            assert re.search(pattern, done.output.replace("\n", " ")), (pattern, done.output)
        assert "Traceback" not in done.output
        assert not any(done.changed.values()), done.output
        for name in [cluster.scheduler, *cluster.workers]:
            traces = "ls -d /opt/dask /var/lib/dask /etc/systemd/system/dask* 2>/dev/null; getent passwd dask"
            assert cluster.host(name).run(traces).stdout == ""

    return run


def with_variables(variables):
    """Return the scenario's inventory with additional variables by host."""
    inventory = yaml.safe_load(yaml.safe_dump(HOSTS))
    groups = inventory["all"]["children"]
    for host, values in variables.items():
        if host == "all":
            inventory["all"]["vars"] = values
            for group in groups.values():  # group variables of the scenario must not override the wrong values
                for name in values:
                    group.get("vars", {}).pop(name, None)
        else:
            group = "dask_scheduler" if host == "scheduler" else "dask_workers"
            groups[group]["hosts"][host].update(values)
    return inventory


def with_groups(groups):
    """Return the scenario's hosts in other groups."""
    addresses = {
        **HOSTS["all"]["children"]["dask_scheduler"]["hosts"],
        **HOSTS["all"]["children"]["dask_workers"]["hosts"],
    }
    children = {group: {"hosts": {name: addresses[name] for name in names}} for group, names in groups.items()}
    children["testbed"] = {**HOSTS["all"]["children"]["testbed"], "children": {group: None for group in groups}}
    return {"all": {"children": children}}


@pytest.mark.parametrize("case", CASES["variables"])
def test_variables(rejected, case):
    about = CASES["variables"][case]
    rejected(with_variables(about["variables"]), about["says"])


@pytest.mark.parametrize("case", CASES["groups"])
def test_groups(rejected, case):
    about = CASES["groups"][case]
    rejected(with_groups(about["groups"]), about["says"])


@pytest.mark.parametrize("case", CASES["locks"])
def test_locks(rejected, tmp_path, case):
    about = CASES["locks"][case]
    lock = tmp_path / "lock.txt"
    lock.write_text(about["lock"])
    rejected(with_variables({"all": {"dask_environment_lock": str(lock)}}), about["says"])


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            "3.9.2",
            r"worker2 has Python 3.9.2 at .*, but Dask needs 3.10 or newer. Install a newer version, and set dask_python",
        ),
        ("3.12.4", r"Python differs: worker2 \(3\.12\); the other hosts have 3\.\d+.*Set dask_python to one"),
    ],
)
def test_pythons(cluster, rejected, version, message):
    # Debian has only one Python, so this stand-in reports another version.
    numbers = tuple(map(int, version.split(".")))
    program = f"#!/usr/bin/python3\nimport sys\nsys.version_info = {numbers}\nexec(sys.argv[-1])\n"
    host = cluster.host("worker2")
    host.check_output(f"install -m 755 /dev/stdin /usr/local/bin/another-python <<'EOF'\n{program}EOF")
    rejected(with_variables({"worker2": {"dask_python": "/usr/local/bin/another-python"}}), message)


def test_other_python_on_a_new_host_is_rejected_in_a_limited_run(rejected, cluster):
    host = cluster.host("worker2")
    program = "#!/usr/bin/python3\nimport sys\nsys.version_info = (3, 12, 4)\nexec(sys.argv[-1])\n"
    host.check_output(f"install -m 755 /dev/stdin /usr/local/bin/another-python <<'EOF'\n{program}EOF")
    # The scheduler's host is not in the run, but its version must match, too.
    inventory = with_variables({"worker2": {"dask_python": "/usr/local/bin/another-python"}})
    rejected(inventory, r"Python differs: .*the other hosts have", "--limit", "worker2")


def test_scratch_of_another_user(cluster, rejected):
    cluster.host("worker1").check_output("install --directory --mode=755 /srv/scratch")
    rejected(
        with_variables({"all": {"dask_worker_scratch_directory": "/srv/scratch"}}),
        r"worker1: dask_worker_scratch_directory \(/srv/scratch\) is not a directory to which dask_user may write. Create",
    )


@pytest.mark.parametrize(("port", "variable"), [(8786, "dask_scheduler_port"), (8787, "dask_scheduler_dashboard_port")])
def test_port_in_use(cluster, rejected, port, variable):
    host = cluster.host("scheduler")
    host.check_output(f"systemd-run --quiet --unit=squatter python3 -m http.server {port}")
    try:
        cluster.wait_until(lambda: host.socket(f"tcp://0.0.0.0:{port}").is_listening, 10)
        rejected(
            HOSTS,
            rf"scheduler: port {port} \({variable}\) is used by python3 \(process \d+\) of squatter.service. Stop",
        )
    finally:
        host.check_output("systemctl stop squatter")


def test_check_mode_reports_the_same_errors(rejected):
    rejected(
        with_variables({"all": {"dask_worker_memory": "lots"}}), r"dask_worker_memory: 'lots' is not a size", "--check"
    )
