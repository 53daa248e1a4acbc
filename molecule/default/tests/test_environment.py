# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments from the controller's packages or from an index, and interrupted builds."""

import contextlib
import functools
import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading

import pytest
from ansible_collections.daskops.cluster.plugins.modules.inspect_host import PROBE
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import platform_tags, select
from conftest import INVENTORY, PROJECT

ENVIRONMENT = "/opt/dask/current/environment"
DEFAULT_LOCK = PROJECT / "roles/environment/files/default.txt"
LISTED = "find /opt/dask/environments -mindepth 1 -maxdepth 1 -printf '%f\n' | sort"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A handler that serves files without logging."""

    def log_message(self, *arguments):
        """Do not log requests."""

    def copyfile(self, source, outputfile):
        """Send a file, and ignore a connection that the host closes early."""
        with contextlib.suppress(ConnectionError):
            super().copyfile(source, outputfile)


@pytest.fixture
def index(cluster, lock, tmp_path):
    """Return the URL of a package index for hosts and the controller, with the packages of the lock and the tools."""
    host = cluster.host(cluster.scheduler).check_output("%s -c %s", f"{ENVIRONMENT}/bin/python", PROBE)
    python = json.loads(host)
    wanted = tmp_path / "wanted.txt"
    locks = [lock, DEFAULT_LOCK.with_name("tools.txt")]
    wanted.write_text("\n".join(line for one in locks for line in select(parse_lock(one.read_text()), python)))
    platforms = [f"--platform={tag}" for tag in platform_tags(python["machine"], python["libc"])]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--require-hashes", "--only-binary=:all:",
         f"--python-version={python['version']}", *platforms, "--dest", tmp_path, "--requirement", wanted],
        check=True,
    )  # fmt: skip
    for wheel in tmp_path.glob("*.whl"):
        project = tmp_path / "simple" / wheel.name.split("-")[0].replace("_", "-").lower()
        project.mkdir(parents=True, exist_ok=True)
        wheel.rename(project / wheel.name)
    address = cluster.variables[cluster.scheduler]["ansible_host"].rsplit(".", 1)[0] + ".1"
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{address}:{server.server_port}/simple"
        server.shutdown()


def test_all_modules_are_compiled(cluster):
    """Or services compile modules at each start. Test packages are not compiled."""
    missing = """
import glob, importlib.util, os, re, sysconfig
for source in glob.glob(sysconfig.get_path("purelib") + "/**/*.py", recursive=True):
    if not re.search("/tests?/", source) and not os.path.exists(importlib.util.cache_from_source(source)):
        try:
            compile(open(source).read(), source, "exec")
        except SyntaxError:
            continue
        print(source)
"""
    assert cluster.compute(missing) == ""


def test_bill_of_materials_lists_the_installed_packages(cluster):
    listed = """
import importlib.metadata, json, platform
print(json.dumps({
    "python": platform.python_version(),
    **{d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()},
}))
"""
    for name in [cluster.scheduler, *cluster.workers]:
        host = cluster.host(name)
        bill = json.loads(host.file(f"{ENVIRONMENT}/sbom.cdx.json").content_string)
        found = {component["name"]: component["version"] for component in bill["components"]}
        assert found == json.loads(host.check_output("%s -I -c %s", f"{ENVIRONMENT}/bin/python", listed))
        # The controller has installed one wheel of each package.
        assert [c["name"] for c in bill["components"] if "hashes" not in c] == ["python"]
        description = json.loads(host.file(f"{ENVIRONMENT}/environment.json").content_string)
        assert description["lock"] == hashlib.sha256(DEFAULT_LOCK.read_bytes()).hexdigest()


def test_status_reports_the_versions_on_hosts(cluster, play):
    packages = json.loads(cluster.host(cluster.scheduler).file(f"{ENVIRONMENT}/environment.json").content_string)[
        "packages"
    ]
    short, long = play("status"), play("status", "--tags", "versions")
    for run in (short, long):
        assert run.returncode == 0, run.output
        assert run.output.count("\nEnvironment ") == 1
        assert f"lock {hashlib.sha256(DEFAULT_LOCK.read_bytes()).hexdigest()}." in run.output
        assert f"Release {cluster.releases().popitem()[1]} on {', '.join(cluster.workers)}." in run.output
    listed = {f"{name} {version}" for name, version in packages.items()}
    assert listed <= set(long.output.splitlines()) and len(listed) > 20
    assert not listed & set(short.output.splitlines())
    assert "The cluster is healthy" in short.output and "The cluster is" not in long.output


def test_interrupted_build_leaves_no_finished_environment(cluster, play, lock, index):
    name = cluster.workers[0]
    before = cluster.host(name).check_output(LISTED).split()
    arguments = ["--limit", name, "--tags", "environment", "-e", f"dask_environment_lock={lock}"]
    site = ["ansible-playbook", *INVENTORY, f"{PROJECT}/playbooks/site.yml", *arguments]
    with subprocess.Popen(site, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:

        def builds():
            assert run.poll() is None, "the run ended before the host started to build"
            return "partial" in cluster.host(name).check_output(LISTED)

        # The controller fetches and packs the packages before the hosts build.
        cluster.wait_until(builds, 180)
        # Kill the container, which has the effect of a power cut.
        subprocess.run(["docker", "kill", cluster.container(name)], check=True, capture_output=True)
        assert run.wait(timeout=120) != 0
    subprocess.run(["docker", "start", cluster.container(name)], check=True, capture_output=True)
    cluster.wait_until(cluster.is_whole, 90)

    cut_off = cluster.host(name).check_output(LISTED).split()
    assert [entry for entry in cut_off if not entry.startswith(".")] == [e for e in before if not e.startswith(".")]
    assert any(entry.startswith(".partial-") for entry in cut_off)

    # The next run builds the environment, now from an index, and removes the remains.
    index_arguments = ["-e", "dask_environment_source=index", "-e", f"dask_environment_index_url={index}"]
    done = play("site", *arguments, *index_arguments)
    assert done.returncode == 0, done.output
    whole = cluster.host(name).check_output(LISTED).split()
    assert len(whole) == len(before) + 1
    assert not any(entry.startswith((".partial-", ".unpacked-")) for entry in whole)
    built = (set(whole) - set(before)).pop()
    description = json.loads(cluster.host(name).file(f"/opt/dask/environments/{built}/environment.json").content_string)
    assert description["packages"]["lz4"] == "4.4.4"
    assert description["lock"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    bill = json.loads(cluster.host(name).file(f"/opt/dask/environments/{built}/sbom.cdx.json").content_string)
    assert [c["version"] for c in bill["components"] if c["name"] == "lz4"] == ["4.4.4"]


def test_host_rejects_a_package_with_another_hash(cluster, play, lock, index, tmp_path):
    text = lock.read_text()
    wrong = tmp_path / "lock.txt"
    wrong.write_text(
        re.sub(r"(^toolz==.*\n)(    --hash.*\n)+", rf"\1    --hash=sha256:{'0' * 64}\n", text, flags=re.MULTILINE)
    )
    name = cluster.workers[0]
    before = cluster.host(name).check_output(LISTED)
    done = play("site", "--limit", name, "--tags", "environment", "-e", f"dask_environment_lock={wrong}",
                "-e", "dask_environment_source=index", "-e", f"dask_environment_index_url={index}")  # fmt: skip
    assert done.returncode != 0
    assert "Installing the packages failed" in done.output and "toolz" in done.output
    complete = [entry for entry in cluster.host(name).check_output(LISTED).split() if not entry.startswith(".")]
    assert complete == [entry for entry in before.split() if not entry.startswith(".")]
    assert cluster.is_whole()
