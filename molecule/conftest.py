# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios share: the hosts over SSH, the client, and runs of the playbooks."""

import collections
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import testinfra

PROJECT = Path(__file__).resolve().parent.parent
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = [f"--inventory={PROJECT}/testbed/inventory.py", f"--inventory={SCENARIO}/hosts.yml"]
PYTHON = "/opt/dask/current/environment/bin/python"
FAILURES = PROJECT / ".cache/failures.txt"


def pytest_runtest_logreport(report):
    """Keep what failed for the end: Molecule prints it before it removes the hosts, and `make molecule` once more."""
    if report.failed:
        with FAILURES.open("a") as file:
            file.write(f"\n{SCENARIO.name}: {report.nodeid} ({report.when})\n{report.longreprtext[-3000:]}\n")


class Cluster:
    """The scenario's hosts, as an administrator and a user see them."""

    def __init__(self):
        listed = subprocess.run(["ansible-inventory", *INVENTORY, "--list"], check=True, capture_output=True, text=True)
        inventory = json.loads(listed.stdout)
        self.variables = inventory["_meta"]["hostvars"]
        self.scheduler = inventory["dask_scheduler"]["hosts"][0]
        self.workers = inventory["dask_workers"]["hosts"]
        self.address = f"tls://{self.variables[self.scheduler]['ansible_host']}:8786"
        self.url = f"https://{self.variables[self.scheduler]['ansible_host']}:8787"
        self.certificates = PROJECT / ".cache/testbed" / f"tls-{self.variables[self.scheduler]['testbed_name']}"

    def host(self, name):
        """A host over SSH, by testinfra's paramiko backend, with a connection of its own."""
        variables = self.variables[name]
        return testinfra.get_host(
            f"paramiko://{variables['ansible_user']}@{variables['ansible_host']}",
            ssh_identity_file=variables["ansible_ssh_private_key_file"],
            ssh_config=f"{PROJECT}/testbed/ssh_config",
            sudo=True,
        )

    def container(self, name):
        """The name of a host's container."""
        return f"{self.variables[name]['testbed_name']}-{name}"

    def start(self, program, mixed=False):
        """Start a Python program in the cluster's own environment, on the scheduler host, as an ordinary user.

        The program finds a connected ``client``. A warning ends it, unless the cluster is ``mixed``: then Dask warns, and is
        right to, that versions differ.
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
        process.stdin = None  # communicate() need not close it again
        return process

    def compute(self, program, timeout=120, **options):
        """What such a program prints."""
        process = self.start(program, **options)
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return output

    def wait_until(self, condition, timeout):
        """Seconds until ``condition()`` is true; fails after ``timeout``."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < timeout, f"not within {timeout} s"
            time.sleep(0.2)
        return time.monotonic() - start

    def summary(self):
        """What the scheduler says of the cluster; None while it does not answer."""
        asked = self.get("daskops/summary.json", 5)
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def get(self, route, seconds=30, url=None):
        """Ask the scheduler, or another service, over HTTPS, as a browser does that trusts the cluster's authority."""
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
        """Whether every worker of every worker host runs."""
        summary = self.summary()
        names = {
            f"{name}-{number + 1}"
            for name in self.workers
            for number in range(self.variables[name].get("dask_worker_count", 1))
        }
        return bool(summary) and {w["name"] for w in summary["workers"] if w["status"] == "running"} == names

    def pids(self, summary=None):
        """Host and process number of each worker, by name."""
        workers = (summary or self.summary())["workers"]
        return {worker["name"]: (worker["host"], worker["pid"]) for worker in workers}

    def releases(self):
        """What all workers share of their releases, by the worker's name."""
        return {worker["name"]: worker["release"].split(".")[0] for worker in self.summary()["workers"]}


EXECUTED, KEPT = "/var/lib/dask/executed.log", "/var/tmp/executed.log"
# A task notes its execution on the host where it runs, in the home of its user. The client computes until told to stop.
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
    """A client that computes for as long as the test runs, and is then asked what it has lost."""
    scheduler = cluster.host(cluster.scheduler)
    scheduler.check_output("rm -f /tmp/stop-load")
    for name in cluster.workers:
        # By its second name it is there when the first has gone with the user's home.
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
    """The environment of somebody who has the collection in a directory of collections, and no checkout"""
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
    """The scenario's cluster, and a user on the scheduler's host who may connect, where there is a cluster yet."""
    cluster = Cluster()
    if cluster.summary():
        run = request.getfixturevalue("play")("client")
        assert run.returncode == 0, run.output
    return cluster


def start_play(playbook, *arguments, inventory=INVENTORY):
    """Start a playbook of the collection, in a process group of its own."""
    command = ["ansible-playbook", *inventory, str(PROJECT / "playbooks" / f"{playbook}.yml"), *arguments]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


@pytest.fixture(scope="session")
def play():
    """Run a playbook of the collection: ``play("site", "--check")``; ``play.start`` does not wait for its end."""

    def run(*arguments, **options):
        return finish(start_play(*arguments, **options))

    run.start = start_play
    run.finish = finish
    return run


def finish(process):
    """The finished run of a playbook that was started."""
    output, errors = process.communicate()
    return Run(process.returncode, output, errors)


@pytest.fixture(scope="session")
def lock(tmp_path_factory):
    """The default lock with another version of one package: another environment."""
    older = subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "--universal",
         "--python-version", "3.10", "--generate-hashes", "-"],
        input="lz4==4.4.4", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    text = (PROJECT / "roles/environment/files/default.txt").read_text()
    changed = re.sub(r"^lz4==.*\n(    --hash.*\n)+", lambda match: older, text, flags=re.MULTILINE)
    assert changed != text
    path = tmp_path_factory.mktemp("lock") / "lock.txt"
    path.write_text(changed)
    return path
