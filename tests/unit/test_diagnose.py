# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""doctor.yml on hosts that cannot be reached, and on this machine, on which nothing is installed."""

import re
import stat
import tarfile

import pytest
from playbook_runs import HOSTS, ROOT, inventory, play

LOCAL = """
all:
  vars:
    ansible_connection: local
    ansible_become: false
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    dask_scheduler_host: 127.0.0.1
    dask_home: DIRECTORY
    dask_worker_scratch_directory: DIRECTORY/scratch
    dask_worker_scratch_any_filesystem: true
    dask_scheduler_port: 18786
    dask_scheduler_dashboard_port: 18787
    dask_open_files: 1073741824
  children:
    dask_scheduler: {hosts: {here: }}
    dask_workers:
      hosts:
        here:
        lost: {ansible_connection: ssh, ansible_host: 127.0.0.9, ansible_port: 1}
"""


def test_unreachable_hosts_are_errors(tmp_path):
    run = play(ROOT / "playbooks/doctor.yml", tmp_path, inventory(tmp_path, HOSTS), timeout=60)
    lines = [line for line in run.stdout.splitlines() if line.startswith("error [unreachable]")]
    assert run.returncode != 0 and re.search(r"^Examined 3 host\(s\): \d errors?\.$", run.stdout, re.MULTILINE), (
        run.stdout
    )
    assert {host for line in lines for host in re.match(r"error \[unreachable\] (.*?):", line)[1].split(", ")} == {
        "s1",
        "w1",
        "w2",
    }


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_this_machine_is_examined_although_another_host_is_lost(options, tmp_path):
    hosts = inventory(tmp_path, LOCAL.replace("DIRECTORY", str(tmp_path / "home")))
    bundle = tmp_path / "bundle.tar.gz"
    options = [*options, "-e", f"dask_support_bundle={bundle}", "-e", "dask_shutdown_token=hidden-token-of-the-cluster"]
    run = play(ROOT / "playbooks/doctor.yml", tmp_path, hosts, *options, timeout=60)
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "error [unreachable] lost: cannot be reached (" in said, said
    assert "note [not-installed] here: no services are installed. Run site.yml" in said, said
    assert "error [open-files] here: fs.nr_open is " in said
    assert re.findall(r"changed=([1-9])", said) == ["1"] and not (tmp_path / "home").exists()  # the archive
    assert bundle.exists() is ("--check" not in options)
    if bundle.exists():
        assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
        with tarfile.open(bundle) as tar:
            texts = {name.partition("/")[2]: tar.extractfile(name).read().decode() for name in tar.getnames()}
        assert {"findings.txt", "plan.json", "hosts/here/journal.txt", "hosts/lost/doctor_info.json"} <= set(texts)
        assert not any("hidden-token" in text for text in texts.values())
        assert "error [unreachable] lost" in texts["findings.txt"]


@pytest.mark.parametrize(
    "name, why",
    [
        ("nowhere/bundle", "cannot be written (No such file or directory). Name a file in a directory that"),
        ("link", "is a symbolic link. Remove it, or name another file."),
    ],
)
def test_archive_that_cannot_be_written(tmp_path, name, why):
    bundle = tmp_path / name
    (tmp_path / "link").symlink_to("target")
    run = play(
        ROOT / "playbooks/doctor.yml",
        tmp_path,
        inventory(tmp_path, HOSTS),
        "-e",
        f"dask_support_bundle={bundle}",
        timeout=60,
    )
    assert run.returncode != 0 and f"dask_support_bundle: {bundle} {why}" in run.stdout + run.stderr
    assert not (tmp_path / "target").exists()
    assert "\nerror [unreachable] " in run.stdout and "\nExamined 3 host(s): " in run.stdout
