"""What the tests of all scenarios share: the hosts over SSH, the client, and runs of the playbooks."""

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
        self.address = f"tcp://{self.variables[self.scheduler]['ansible_host']}:8786"

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

    def start(self, program):
        """Start a Python program in the cluster's own environment, on the scheduler host, as an ordinary user.

        The program finds a connected ``client``.
        """
        preamble = f"from distributed import Client\nclient = Client('{self.address}', timeout=60)\n"
        variables = self.variables[self.scheduler]
        command = [
            "ssh",
            "-i",
            variables["ansible_ssh_private_key_file"],
            *variables["ansible_ssh_common_args"].split(),
        ]
        command += [f"{variables['ansible_user']}@{variables['ansible_host']}", PYTHON, "-W", "error", "-"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        process.stdin.write(preamble + program)
        process.stdin.close()
        process.stdin = None  # communicate() need not close it again
        return process

    def compute(self, program, timeout=120):
        """What such a program prints."""
        process = self.start(program)
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
        url = f"http://{self.variables[self.scheduler]['ansible_host']}:8787/daskops/summary.json"
        asked = subprocess.run(["curl", "-sf", "-m", "5", url], capture_output=True, text=True, check=False)
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def is_whole(self):
        """Whether every worker host's worker runs."""
        summary = self.summary()
        names = {f"{name}-1" for name in self.workers}
        return bool(summary) and {w["name"] for w in summary["workers"] if w["status"] == "running"} == names


class Run:
    """A finished run of a playbook."""

    def __init__(self, done):
        self.returncode = done.returncode
        self.output = done.stdout + done.stderr
        self.changed = {
            host: int(number)
            for host, number in re.findall(r"^(\S+)\s+: ok=.*changed=(\d+)", done.stdout, re.MULTILINE)
        }


@pytest.fixture(scope="session")
def cluster():
    return Cluster()


@pytest.fixture(scope="session")
def play():
    """Run a playbook of the collection: ``play("site", "--check")``."""

    def run(playbook, *arguments, inventory=INVENTORY):
        command = ["ansible-playbook", *inventory, str(PROJECT / "playbooks" / f"{playbook}.yml"), *arguments]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        return Run(subprocess.run(command, capture_output=True, text=True, check=False, env=environment))

    return run


@pytest.fixture
def lock(tmp_path):
    """The default lock without one package that nothing needs: another environment."""
    text = (PROJECT / "roles/environment/files/default.txt").read_text()
    path = tmp_path / "lock.txt"
    path.write_text(re.sub(r"^lz4==.*\n(    --hash.*\n)+", "", text, flags=re.MULTILINE))
    return path
