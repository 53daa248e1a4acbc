# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dask's own tests of its clusters, with ``daskops.Cluster`` instead of its classes, as far as they apply.

Dask's own packages do not contain its tests, but Debian's package does, of an older version. Tests that are not here use
the scheduler and the workers of a ``LocalCluster`` as objects of the same process, arguments that only such a cluster can
have, or what Dask has removed since. Two more do not apply: ``test_repr`` expects an object that is not connected, and
``test_cluster_names`` that two clusters without names differ, but they are connections to the same cluster here.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from playbook_runs import ROOT
from test_scaling import Cluster as Units

PACKAGE = "python3-distributed"
TESTS = [
    "test_cluster.py::test_eq",
    "test_local.py::test_close_twice",
    "test_local.py::test_submit",
    "test_local.py::test_context_manager",
    "test_local.py::test_no_workers_sync",
    "test_local.py::test_no_ipywidgets",
    "test_local.py::test_asynchronous_property",
    "test_local.py::test_no_dangling_asyncio_tasks",
    "test_local.py::test_connect_to_closed_cluster",
    "test_local.py::test_localcluster_get_client",
]
CONFTEST = """
import daskops
import distributed.deploy.cluster
import pytest
from distributed.utils_test import *

def connect(asynchronous=False, loop=None, name=None, **of_a_local_cluster):
    return daskops.Cluster(asynchronous=asynchronous, loop=loop, name=name)

distributed.deploy.cluster.Cluster = daskops.Cluster
distributed.LocalCluster = connect
"""


@pytest.fixture(scope="module")
def dask_tests():
    """Return the directory with Dask's tests of clusters from Debian's package, which is kept in the cache."""
    directory = Path(os.environ.get("XDG_CACHE_HOME") or ROOT / ".cache") / "dask-tests"
    if not directory.exists():
        if not Path("/etc/debian_version").exists():
            pytest.skip(f"Dask's tests are in Debian's package {PACKAGE}, and this is not Debian")
        directory.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
            new = Path(temporary)
            (new / "lists/partial").mkdir(parents=True)
            # With lists of its own: another test may install a package at the same time, and those of the system need root.
            apt = ["apt-get", "--quiet", f"--option=Dir::State::Lists={new}/lists", f"--option=Dir::Cache={new}"]
            for command in (["update"], ["download", PACKAGE]):
                done = subprocess.run([*apt, *command], cwd=new, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            (archive,) = new.glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", archive, new / "package"], check=True)
            (new / "package/usr/lib/python3/dist-packages/distributed/deploy/tests").rename(directory)
    return directory


def test_dask_tests_of_a_cluster(dask_tests, tmp_path):
    for file in {name.partition("::")[0] for name in TESTS}:
        shutil.copy(dask_tests / file, tmp_path)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    with contextlib.ExitStack() as stack:
        units = Units(tmp_path, stack)
        units.start("w1", "w2")
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider", "--rootdir", tmp_path]
        variables = {"PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT / "roles/client/files/package")}
        variables["DASK_DASKOPS__CLIENT__ADDRESS"] = units.scheduler.address
        environment = {**os.environ, **variables}
        done = subprocess.run([*command, *TESTS], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        assert f"{len(TESTS)} passed" in done.stdout
        # The cluster belongs to everybody, so no test has stopped its workers.
        assert units.names() == {"w1", "w2"}
