# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces of other installations, in real files and processes."""

import os
import stat
import subprocess

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import leftovers
from conftest import scheduler, wait_until


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# >>> conda initialize >>>\n", True),
        (". /opt/conda/etc/profile.d/conda.sh\n", True),
        ("export PATH=/opt/miniconda3/bin:$PATH\n", True),
        ("conda activate base\n", True),
        ("# conda activate base\nexport PATH=/opt/second/bin:$PATH\n", False),
        ("", False),
    ],
)
def test_conda_in_login_shells(tmp_path, monkeypatch, text, found):
    monkeypatch.setattr(leftovers, "PROFILES", [str(tmp_path / "profile.d/*.sh")])
    path = write(tmp_path / "profile.d/a.sh", text)
    own = write(tmp_path / "home/.bashrc", text)
    os.mkfifo(tmp_path / "home/.profile")  # must not block
    expected = [path, own] if found else []
    assert leftovers.conda_profiles([str(tmp_path / "home"), ""]) == expected


def test_link_that_an_account_replaces_meanwhile(tmp_path, monkeypatch):
    """Root would open any device to which the new link leads."""
    profile = tmp_path / ".profile"
    write(tmp_path / "dotfiles/profile", "")
    other = write(tmp_path / "other", "conda activate base\n")
    profile.symlink_to("dotfiles/profile")

    def replaced(mode, examine=stat.S_ISREG):
        profile.unlink()
        profile.symlink_to(other)
        return examine(mode)

    monkeypatch.setattr(leftovers, "PROFILES", [])
    monkeypatch.setattr(stat, "S_ISREG", replaced)
    assert leftovers.conda_profiles([str(tmp_path)]) == []
    assert leftovers.conda_profiles([str(tmp_path)]) == [str(profile)]


def test_packages_of_an_account(tmp_path):
    assert leftovers.user_packages("") == leftovers.user_packages(str(tmp_path)) == []
    (tmp_path / ".local/lib/python3.11/site-packages").mkdir(parents=True)
    assert leftovers.user_packages(str(tmp_path)) == []
    write(tmp_path / ".local/lib/python3.11/site-packages/dask/__init__.py")
    # What the account puts there must not end the examination, nor be a control character.
    write(tmp_path / ".local/lib/python3.10/site-packages")
    write(tmp_path / ".local/lib/python3.\x01/site-packages/dask.py")
    assert leftovers.user_packages(str(tmp_path)) == [
        str(tmp_path / ".local/lib/python3.?/site-packages"),
        str(tmp_path / ".local/lib/python3.11/site-packages"),
    ]


def test_configuration_files_without_those_of_the_collection(tmp_path):
    assert leftovers.configuration_files(str(tmp_path / "none")) == []
    for name in ("daskops.yaml", "readme.txt"):
        write(tmp_path / name)
    assert leftovers.configuration_files(str(tmp_path)) == []
    paths = [write(tmp_path / name) for name in ("dask.yaml", "distributed.yml", "x.json")]
    assert leftovers.configuration_files(str(tmp_path)) == paths
    write(tmp_path / "a\x01\udcff.yaml")
    assert leftovers.configuration_files(str(tmp_path)) == [str(tmp_path / "a??.yaml"), *paths]


@pytest.mark.parametrize(
    ("name", "start", "found"),
    [
        ("my-dask.service", "/opt/conda/bin/dask-worker tcp://a:8786", True),
        ("my.service", "/usr/bin/dask scheduler", True),
        ("gpu.service", "/usr/bin/env dask-cuda-worker a", True),
        ("py.service", "/usr/bin/python3 -m distributed.cli.dask_worker a", True),
        ("dask-worker.service", "/usr/local/bin/dask-worker a", True),
        ("shell.service", '/bin/bash -lc "dask-worker tcp://a:8786"', True),
        ("shell.service", "/bin/bash -c 'source a;dask worker tcp://a:8786'", True),
        ("lines.service", "/usr/bin/env \\\n    dask  worker tcp://a:8786", True),
        # The collection's own units, and other installations with such names.
        ("dask-scheduler.service", "/bin/sh /opt/dask/current/run.sh distributed.cli.dask_scheduler $A", False),
        ("dask-worker@.service", "/bin/sh /srv/dask/current/run.sh $DASKOPS_COMMAND $DASKOPS_ARGUMENTS", False),
        ("dask-scheduler.service", "/opt/conda/bin/dask-scheduler", True),
        ("dask-worker@1.service", "/opt/conda/bin/dask-worker a", True),
        ("dask-worker@.service", "/opt/conda/bin/dask-worker a", True),
        ("daskops-trial-1-s1.service", "/bin/sh /opt/dask/releases/a/run.sh distributed.cli.dask_scheduler", False),
        ("dask-worker-hours@default.service", "/bin/systemctl --no-block try-restart dask-worker@1.service", False),
        ("dask-worker-journal@.service", "/bin/journalctl --unit=dask-worker@*.service", False),
        ("dask-scheduler-journal@.service", "/bin/journalctl --unit=dask-scheduler.service", False),
        ("web.service", "/usr/bin/python3 -m http.server", False),
        ("docs.service", "/usr/bin/less /home/dask/worker", False),
    ],
)
def test_units_of_other_installations(tmp_path, monkeypatch, name, start, found):
    monkeypatch.setattr(leftovers, "UNITS", [str(tmp_path)])
    path = write(tmp_path / name, f"[Unit]\nDescription=dask-worker\n[Service]\nExecStart={start}\n")
    assert leftovers.other_units() == ([path] if found else [])


def test_unit_that_two_directories_share_is_reported_once(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "UNITS", [str(tmp_path / "a"), str(tmp_path / "b")])
    path = write(tmp_path / "a/x.service", "[Service]\nExecStart=/bin/dask-worker a\n")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert leftovers.other_units() == [path]


def pids():
    return {process["pid"]: process for process in leftovers.stray_processes()}


def test_stray_scheduler(tmp_path):
    with scheduler(tmp_path) as one:
        found = wait_until(lambda: pids().get(one.process.pid))
        assert "distributed.cli.dask_scheduler" in found["command"] and found["user"]
    assert one.process.pid not in pids()


def test_other_programs_are_no_stray_processes():
    words = ["sleep", "30"], ["bash", "-c", "sleep 30; exit", "a", "dask-worker tcp://a:8786"]
    processes = [subprocess.Popen(command, start_new_session=True) for command in words]
    try:
        assert not {process.pid for process in processes} & set(pids())
    finally:
        for process in processes:
            os.killpg(process.pid, 9)
            process.wait()


@pytest.mark.parametrize(
    ("group", "own"),
    [
        ("0::/system.slice/dask-scheduler.service\n", True),
        ("1:name=systemd:/docker/1/system.slice/system-dask\\x2dworker.slice/dask-worker@1.service\n0::/\n", True),
        ("0::/system.slice/dask-worker@gpu-12.service/app\n", True),
        ("0::/system.slice/daskops-trial-dask-worker@1.service\n", True),
        ("0::/system.slice/dask-worker.service\n", False),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", False),
        ("", False),
    ],
)
def test_control_groups_of_the_collections_units(group, own):
    assert leftovers._ours(group, {"dask.service"}) is own


@pytest.mark.parametrize("unit", ["dask-scheduler.service", "dask-worker@.service", "dask-worker@1.service"])
def test_control_groups_of_units_with_such_names(unit):
    group = f"0::/system.slice/{unit.replace('@.', '@1.')}\n"
    assert leftovers._ours(group, set()) and not leftovers._ours(group, {unit})


def test_home_of_an_account():
    assert leftovers.home_of("root") == os.path.expanduser("~root") and leftovers.home_of("no-such-account") == ""
