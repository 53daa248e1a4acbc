# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all scenarios: the hosts over SSH, clients, and runs of playbooks."""

import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import testinfra

PROJECT = Path(__file__).resolve().parent.parent
LOCK = PROJECT / "roles/environment/files/default.txt"
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = [f"--inventory={PROJECT}/testbed/inventory.py", f"--inventory={SCENARIO}/hosts.yml"]
# The interpreter of the environment, for a shell. The link "prefix" leads to an environment that hosts have.
PYTHON = "/opt/dask/current/environment$(test ! -e /opt/dask/current/environment/prefix || echo /prefix)/bin/python"
FAILURES = PROJECT / ".cache/failures.txt"


def pytest_runtest_logreport(report):
    """Append failures to a file, which `make molecule` prints at the end: Molecule prints much output after them."""
    if report.failed:
        with FAILURES.open("a") as file:
            file.write(f"\n{SCENARIO.name}: {report.nodeid} ({report.when})\n{report.longreprtext[-3000:]}\n")


class Cluster:
    """The scenario's hosts, for tests as an administrator and as a user."""

    def __init__(self):
        listed = subprocess.run(["ansible-inventory", *INVENTORY, "--list"], check=True, capture_output=True, text=True)
        inventory = json.loads(listed.stdout)
        self.variables = inventory["_meta"]["hostvars"]
        self.scheduler = inventory["dask_scheduler"]["hosts"][0]
        self.workers = inventory["dask_workers"]["hosts"]
        self.address = f"tls://{self.in_url(self.scheduler)}:8786"
        self.url = f"https://{self.in_url(self.scheduler)}:8787"
        self.certificates = PROJECT / ".cache/testbed" / f"tls-{self.variables[self.scheduler]['testbed_name']}"

    def in_url(self, name):
        """Return the address of a host, an IPv6 address in brackets."""
        address = self.variables[name]["ansible_host"]
        return f"[{address}]" if ":" in address else address

    def host(self, name):
        """Return a host over SSH, with testinfra's paramiko backend and its own connection."""
        variables = self.variables[name]
        return testinfra.get_host(
            f"paramiko://{variables['ansible_user']}@{self.in_url(name)}",
            ssh_identity_file=variables["ansible_ssh_private_key_file"],
            ssh_config=f"{PROJECT}/testbed/ssh_config",
            sudo=True,
        )

    def container(self, name):
        """Return the name of a host's container."""
        return f"{self.variables[name]['testbed_name']}-{name}"

    def start(self, program, mixed=False):
        """Start a Python program with the cluster's environment on the scheduler host, as an ordinary user.

        The program has a connected ``client``. Warnings are errors, unless ``mixed`` is set: then Dask rightly warns about
        different versions.
        """
        preamble = "from distributed import Client\nclient = Client(timeout=60)\n"
        variables = self.variables[self.scheduler]
        command = [
            "ssh",
            "-i",
            variables["ansible_ssh_private_key_file"],
            *variables["ansible_ssh_common_args"].split(),
        ]
        command += [
            f"{variables['ansible_user']}@{variables['ansible_host']}",
            PYTHON,
            "-W",
            "ignore" if mixed else "error",
            "-",
        ]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        process.stdin.write(preamble + program)
        process.stdin.close()
        process.stdin = None  # so that communicate() does not close it again
        return process

    def compute(self, program, timeout=120, **options):
        """Run such a program and return its output."""
        process = self.start(program, **options)
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return output

    def wait_until(self, condition, timeout):
        """Wait until ``condition()`` is true and return the seconds; fail after ``timeout`` seconds."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < timeout, f"not within {timeout} s"
            time.sleep(0.2)
        return time.monotonic() - start

    def summary(self):
        """Return the scheduler's summary of the cluster, or None while it does not answer."""
        asked = self.get("daskops/summary.json", 5)
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def get(self, route, seconds=30, url=None):
        """Send a request to the scheduler, or another service, over HTTPS, with the cluster's CA as trusted."""
        command = [
            "curl",
            "-sf",
            "-m",
            str(seconds),
            "--cacert",
            str(self.certificates / "ca.pem"),
            f"{url or self.url}/{route}",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def is_whole(self):
        """Return whether all workers of all worker hosts run."""
        summary = self.summary()
        names = {
            f"{name}-{number + 1}"
            for name in self.workers
            for number in range(self.variables[name].get("dask_worker_count", 1))
        }
        return bool(summary) and {w["name"] for w in summary["workers"] if w["status"] == "running"} == names

    def pids(self, summary=None):
        """Return the host and pid of each worker by name."""
        workers = (summary or self.summary())["workers"]
        return {worker["name"]: (worker["host"], worker["pid"]) for worker in workers}

    def releases(self):
        """Return the first part of each worker's release, which hosts share, by the worker's name."""
        return {worker["name"]: worker["release"].split(".")[0] for worker in self.summary()["workers"]}


EXECUTED, KEPT = "/var/lib/dask/executed.log", "/var/tmp/executed.log"
# Each task logs its execution to a file in the services' home on its host. The client computes until it is stopped.
LOAD = """
import os

def work(number):
    import time
    with open("executed.log", "a") as log:
        log.write(f"{number}\\n")
    time.sleep(0.3)
    return number**2

scattered = client.scatter([bytes([number]) * 100_000 for number in range(100)])
print("computing", flush=True)
done = 0
while not os.path.exists("/tmp/stop-load"):
    numbers = range(done, done + 60)
    assert client.gather(client.map(work, numbers, pure=False)) == [number**2 for number in numbers]
    done += 60
assert client.gather(scattered) == [bytes([number]) * 100_000 for number in range(100)]
print(done)
"""


@pytest.fixture
def load(cluster):
    """Compute during a test, and fail afterwards if a result was lost or a task ran twice."""
    scheduler = cluster.host(cluster.scheduler)
    scheduler.check_output("rm -f /tmp/stop-load")
    for name in cluster.workers:
        # Read the log by its second link: removing the user's home removes the first.
        cluster.host(name).check_output(f"install --owner=dask /dev/null {EXECUTED} && ln --force {EXECUTED} {KEPT}")
    client = cluster.start(LOAD)
    assert client.stdout.readline() == "computing\n", client.stderr.read()
    time.sleep(2)
    yield client
    scheduler.check_output("touch /tmp/stop-load")
    output, errors = client.communicate(timeout=120)
    assert client.returncode == 0, errors
    executed = collections.Counter()
    for name in cluster.workers:
        executed.update(
            cluster.host(name).run(f"cat {KEPT}; test {EXECUTED} -ef {KEPT} || cat {EXECUTED}").stdout.split()
        )
    print(f" ({output.strip()} tasks while the cluster changed)")
    assert int(output) > 0
    assert set(executed) == {str(number) for number in range(int(output))}
    assert {number: times for number, times in executed.items() if times > 1} == {}


def without_checkout(collections):
    """Return the environment of a user who has the installed collection and no checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**environment, "ANSIBLE_COLLECTIONS_PATH": str(collections)}


class Run:
    """A finished run of a playbook."""

    def __init__(self, returncode, output, errors):
        self.returncode = returncode
        self.output = output + errors
        self.changed = {
            host: int(number) for host, number in re.findall(r"^(\S+)\s+: ok=.*changed=(\d+)", output, re.MULTILINE)
        }
        counted = output.partition("REMOTE COMMANDS")[2]
        self.commands = {host: int(number) for host, number in re.findall(r"^(\S+)\s+: (\d+)$", counted, re.MULTILINE)}


@pytest.fixture(scope="session")
def cluster(request):
    """Return the scenario's cluster. If it exists, an account on the scheduler's host can connect."""
    cluster = Cluster()
    if cluster.summary():
        run = request.getfixturevalue("play")("client")
        assert run.returncode == 0, run.output
    return cluster


def start_play(playbook, *arguments, inventory=INVENTORY, trial=False):
    """Start a playbook of the collection, in its own process group.

    Only with ``trial`` does it try changed releases before it stops anything. This is a fifth of the work of a change.
    """
    command = ["ansible-playbook", *inventory, str(PROJECT / "playbooks" / f"{playbook}.yml")]
    command += [*([] if trial else ["-e", "dask_trial=false"]), *arguments]
    settings = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",  # YAML breaks long lines
    }
    environment = {**os.environ, **settings}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


@pytest.fixture(scope="session")
def play():
    """Return a function that runs a playbook: ``play("site", "--check")``. ``play.start`` does not wait for its end."""

    def run(*arguments, **options):
        return finish(start_play(*arguments, **options))

    run.start = start_play
    run.finish = finish
    return run


def finish(process):
    """Wait for a started playbook and return its run."""
    output, errors = process.communicate()
    return Run(process.returncode, output, errors)


#: Packages of a cluster whose dashboard has no pages. This environment is smaller than the default one.
PACKAGES = ["distributed", "prometheus-client", "lz4", "cryptography"]


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """Return the variables for an archive of an environment like conda's, without the packages of the dashboard."""
    directory = tmp_path_factory.mktemp("packed")
    target = ["--python", "/usr/bin/python3", "--target", str(directory / "packages"), "--constraint", str(LOCK)]
    subprocess.run(["uv", "pip", "install", "--quiet", "--compile-bytecode", *target, *PACKAGES], check=True)
    archive = directory / "env.tar.gz"
    program = [PROJECT / "tests/unit/packed_prefixes.py", directory / "packages", archive]
    subprocess.run([sys.executable, *program], check=True)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {"dask_environment_archive": str(archive), "dask_environment_archive_sha256": sha256}


@pytest.fixture(scope="session")
def lock(tmp_path_factory):
    """Return the path of a lock with another version of lz4 than the default lock, and without the dashboard's packages."""
    path = tmp_path_factory.mktemp("lock") / "lock.txt"
    others = re.sub(r"^lz4==.*\n(    --hash.*\n)+", "", LOCK.read_text(), flags=re.MULTILINE)
    (path.parent / "constraints.txt").write_text(others)
    wanted = ["lz4==4.4.4", *(package for package in PACKAGES if package != "lz4")]
    subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--universal", "--python-version", "3.10",
         "--generate-hashes", "--constraint", str(path.parent / "constraints.txt"), "-o", str(path), "-"],
        input="\n".join(wanted), text=True, check=True,
    )  # fmt: skip
    return path
