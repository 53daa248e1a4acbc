# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with Debian 11, 12 and 13 in one cluster: the managed Python that dask_python: auto selects, and its changes."""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile

import pytest
from conftest import INVENTORY, PROJECT

NAMES = "find /opt/dask/pythons -mindepth 1 -maxdepth 1 -printf '%f\n' | sort"

# What each service runs with, by name.
ABOUT = """
import json

def about():
    import os, platform, ssl, sys
    import docopt
    return {
        "version": sys.version, "prefix": sys.base_prefix, "program": os.readlink("/proc/self/exe"),
        "libc": platform.libc_ver()[1], "openssl": ssl.OPENSSL_VERSION, "docopt": docopt.__version__,
        "magic": __import__("importlib.util").util.MAGIC_NUMBER.hex(),
    }

print(json.dumps({"scheduler": client.run_on_scheduler(about), **client.run(about)}))
"""

# Each worker makes an array, each other worker computes with it, and all of them take part in a product.
EXCHANGE = """
import dask.array as da
import numpy as np

def received(dask_worker):
    return len(dask_worker.transfer_incoming_log)

workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
made = {worker: client.submit(np.arange, 500_000, workers=[worker], pure=False) for worker in workers}
for source, array in made.items():
    for target in set(workers) - {source}:
        before = client.run(received, workers=[target])[target]
        total = client.submit(lambda x, factor=2: int((x * factor).sum()), array, workers=[target], pure=False)
        assert total.result(timeout=60) == 500_000 * 499_999
        assert client.run(received, workers=[target])[target] > before, (source, target)

x = np.arange(1000 * 1000).reshape(1000, 1000) / 1e6
d = da.arange(1000 * 1000, chunks=250_000).reshape(1000, 1000).rechunk(250) / 1e6
np.testing.assert_allclose(((d + d.T) @ d).sum(axis=0).compute(), ((x + x.T) @ x).sum(axis=0))
print(len(workers))
"""

BUILDS = """
def build():
    import sys
    return sys.base_prefix

print(*sorted(set(client.run(build).values())))
"""

CONNECT = """
import sys
import docopt
from distributed import Client

def version():
    import docopt
    return docopt.__version__

with Client(timeout=60) as client:
    print(sys.base_prefix, docopt.__version__, client.submit(version).result(timeout=60))
"""


@pytest.fixture(scope="module")
def mirror(cluster):
    """Return the archive of the managed Python."""
    (archive,) = (PROJECT / ".cache/testbed/python").glob("cpython-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def other_build(mirror, tmp_path_factory):
    """Return the variables for another build of the same version: other files, and a later date in the name."""
    directory = tmp_path_factory.mktemp("builds")
    archive = directory / re.sub(r"\+\d{8}-", "+20991231-", mirror.name)
    # Without a time in its header, the archive is the same in each run, so caches on the controller do not grow.
    with gzip.GzipFile(archive, "wb", compresslevel=1, mtime=0) as file, tarfile.open(fileobj=file, mode="w") as new:
        build = tarfile.TarInfo("python/BUILD")
        build.size = 6
        new.addfile(build, io.BytesIO(b"second"))
        with tarfile.open(mirror) as old:
            for member in old:
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {"dask_python_mirror": str(directory), "dask_python_sha256": {"x86_64": sha256}}


def hosts(cluster):
    """Return the names of all hosts."""
    return [cluster.scheduler, *cluster.workers]


def pythons(cluster):
    """Return the names of the managed Pythons on the hosts, which are the same on all of them."""
    (names,) = {cluster.host(name).check_output(NAMES) for name in hosts(cluster)}
    return names.split()


def test_hosts_are_of_three_releases_of_debian(cluster):
    releases = [cluster.host(name).system_info.release for name in hosts(cluster)]
    assert [release.split(".")[0] for release in releases] == ["12", "11", "12", "13"]
    version = "python3 -c 'import sys; print(*sys.version_info[:2])'"
    own = [cluster.host(name).check_output(version) for name in hosts(cluster)]
    assert own == ["3 11", "3 9", "3 11", "3 13"]


def test_all_services_run_the_same_managed_python(cluster, mirror):
    (name,) = pythons(cluster)
    assert f"cpython-{name.rpartition('-')[0]}-" in mirror.name
    about = json.loads(cluster.compute(ABOUT))
    assert set(about) == {"scheduler", *(worker["address"] for worker in cluster.summary()["workers"])}
    # The C library is that of the host. All else is that of the managed Python, also its OpenSSL.
    assert len({service.pop("libc") for service in about.values()}) == 3
    first = about["scheduler"]
    assert all(service == first for service in about.values()), about
    assert first["version"].startswith("3.13.") and first["openssl"].startswith("OpenSSL 1.1.1")
    assert first["prefix"] == f"/opt/dask/pythons/{name}"
    assert first["program"] == f"/opt/dask/pythons/{name}/bin/python3.13"
    # The controller has built this package from source.
    assert first["docopt"] == "0.6.2"


def test_hosts_compute_together(cluster):
    assert cluster.compute(EXCHANGE) == "3\n"


def test_version_that_auto_selects_is_no_change(cluster, play):
    pids = cluster.pids()
    run = play("site", "-e", "dask_python=3.13")
    assert run.returncode == 0 and not any(run.changed.values()), run.output
    assert cluster.pids() == pids


def test_archive_with_another_hash_changes_nothing(cluster, play, other_build):
    pids, before = cluster.pids(), pythons(cluster)
    run = play("site", "-e", json.dumps({**other_build, "dask_python_sha256": {"x86_64": "0" * 64}}))
    assert run.returncode != 0 and not any(run.changed.values())
    sha256 = other_build["dask_python_sha256"]["x86_64"]
    assert f"has the SHA-256 {sha256}, but dask_python_sha256 has another one. Find out why" in run.output, run.output
    assert "hosts do not all have the same Python that Dask can use: scheduler (3.11), worker1 (none)" in run.output
    assert cluster.pids() == pids and pythons(cluster) == before


def test_another_build_reaches_the_hosts_in_batches(cluster, play, load, other_build):
    scheduler, pids, (old,) = cluster.summary()["scheduler"]["id"], cluster.pids(), pythons(cluster)
    change = ["-e", json.dumps({**other_build, "dask_scheduler_idle_timeout": 1})]
    predicted = play("site", "--check", "--diff", *change)
    assert predicted.returncode == 0 and all(predicted.changed.values()), predicted.output
    assert f"-managed-python=={old}" in predicted.output and "+managed-python==" in predicted.output
    assert cluster.pids() == pids and pythons(cluster) == [old]
    process = play.start("site", *change)
    try:
        cluster.wait_until(lambda: process.poll() is not None or len(set(cluster.releases().values())) == 2, 180)
        builds = cluster.compute(BUILDS, mixed=True).split()
    finally:
        run = play.finish(process)
    assert run.returncode == 0 and "The scheduler is pending" in run.output, run.output
    # The old and the new build compute together during the change.
    assert len(builds) == 2 and f"/opt/dask/pythons/{old}" in builds
    (new,) = set(pythons(cluster)) - {old}
    assert "+20991231-" in new and cluster.compute(BUILDS, mixed=True).split() == [f"/opt/dask/pythons/{new}"]
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert all(pid != pids[worker] for worker, pid in cluster.pids().items()) and cluster.is_whole()


def test_build_is_rolled_back(cluster, play, other_build):
    run = play("rollback")
    assert run.returncode == 0, run.output
    assert "+20991231-" not in cluster.compute(BUILDS)
    assert len(pythons(cluster)) == 2


def test_build_that_no_release_needs_is_removed(cluster, play):
    # After another change, the current and the previous release use the first build.
    config = {"array": {"chunk-size": "64MiB"}}
    run = play("site", "-e", json.dumps({"dask_keep_releases": 1, "dask_serial": "100%", "dask_config": config}))
    assert run.returncode == 0, run.output
    (name,) = pythons(cluster)
    assert "+20991231-" not in name
    assert cluster.compute(EXCHANGE) == "3\n"


def test_user_with_the_same_python_connects(cluster, play, mirror, tmp_path):
    """The user works on this machine, and has the cluster's Python and, from client.yml, its lock."""
    with tarfile.open(mirror) as archive:
        archive.extractall(tmp_path)
    bundle, accounts = tmp_path / "bundle", tmp_path / "accounts.yml"
    user = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"localhost": {**user, "dask_client_directory": str(bundle)}}
    accounts.write_text(json.dumps({"dask_clients": {"hosts": hosts}}))
    limit = ["--limit", f"localhost,{cluster.scheduler}"]
    run = play("client", *limit, inventory=[*INVENTORY, f"--inventory={accounts}"])
    assert run.returncode == 0, run.output
    (command,) = re.findall(rf"uv run [^\n\"]*{bundle}[^\n\"]* python", run.output)
    # uv takes the first Python 3.13 in PATH.
    environment = {**os.environ, "DASK_CONFIG": str(bundle), "PATH": f"{tmp_path}/python/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command.split(), "-c", CONNECT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/python 0.6.2 0.6.2\n"
