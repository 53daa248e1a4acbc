# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preload of clients, in an account that can connect to a cluster."""

import os
import subprocess
import sys

import pytest
from client_accounts import make_home
from conftest import scheduler, worker


@pytest.fixture(scope="module")
def encrypted(certificates, tmp_path_factory):
    """Return the address of a scheduler with a worker, both with TLS only."""

    def settings(role):
        return {
            "comm.require-encryption": True,
            "comm.tls.ca-file": str(certificates / "ca.pem"),
            f"comm.tls.{role}.cert": str(certificates / f"{role}.pem"),
            f"comm.tls.{role}.key": str(certificates / f"{role}.key"),
        }

    directory = tmp_path_factory.mktemp("encrypted")
    with scheduler(directory, "--protocol", "tls", settings=settings("scheduler")) as started:
        with worker(started, "w1", settings=settings("worker")):
            yield started.address


@pytest.fixture(scope="module")
def home(certificates, encrypted, tmp_path_factory):
    """Return the home of an account that can connect to the scheduler of `encrypted`."""
    return make_home(tmp_path_factory.mktemp("home"), certificates, encrypted)


def run(program, home, **variables):
    """Return the output of a program run in the account, or in an empty home if none is given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK")}
    # A program in a file can be imported by the processes that it starts.
    file = home / "program.py"
    file.write_text(
        "from distributed import *\nif __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in program)
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=home,
        env={**environment, "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("daskops_client") <= 3  # only from the lines before its first import
    return done.stdout


def test_client_reaches_the_cluster(home, encrypted):
    program = [
        "client = Client(timeout=20)",
        "print(client.scheduler.address, client.submit(sum, [1, 2]).result())",
        "print(client.security.require_encryption, client.dashboard_link, type(client).__name__)",
        "print(Client().scheduler.address)",  # a second client in the same process
        f"print(Client({encrypted!r}).submit(sum, [3]).result())",
    ]
    assert run(program, home).splitlines() == [
        f"{encrypted} 3",
        "True https://pages.example.org/status Client",
        encrypted,
        "3",
    ]


OTHERS = {
    "local cluster": [
        "with LocalCluster(n_workers=1, dashboard_address=':0') as cluster, Client(cluster) as client:",
        "    print(cluster.scheduler_address.split(':')[0], client.submit(sum, [1, 2]).result())",
        "    print(client.dashboard_link == cluster.dashboard_link, client.dashboard_link[:17])",
        "    print('client.key' in str(client.run(lambda: __import__('dask').config.config)))",
    ],
    "threads": [
        "with Client(processes=False, dashboard_address=':0') as client:",
        "    print(client.scheduler.address.split(':')[0], client.submit(sum, [1, 2]).result())",
    ],
    "a client's own local cluster": [
        "with Client(n_workers=1, dashboard_address=':0') as client:",
        "    print(client.scheduler.address.split(':')[0], client.submit(sum, [1, 2]).result())",
    ],
    "another cluster": [
        "import os",
        "with Client(os.environ['OTHER'], timeout=20) as client:",
        "    print(client.scheduler.address, client.submit(sum, [1, 2]).result(), client.dashboard_link)",
    ],
    "another cluster by the environment": [
        "import dask, os",
        "with dask.config.set({'scheduler-address': os.environ['OTHER']}), Client(timeout=20) as client:",
        "    print(client.scheduler.address, client.submit(sum, [1, 2]).result())",
    ],
    "another cluster with certificates of its own": [
        "client = Client(security=True, n_workers=1, dashboard_address=':0')",
        "print(client.scheduler.address.split(':')[0], client.submit(sum, [1, 2]).result())",
        "client.close()",
    ],
    "Dask's own tests": [
        "from distributed.utils_test import gen_cluster, inc",
        "@gen_cluster(client=True)",
        "async def test(client, scheduler, *workers):",
        "    print(scheduler.address.split(':')[0], await client.submit(inc, 1))",
        "test()",
    ],
    "configuration": [
        "import dask",
        "keys = ('scheduler-address', 'distributed.comm', 'distributed.dashboard')",
        "print({key: dask.config.get(key, None) for key in keys})",
    ],
}


@pytest.fixture(scope="module")
def told(home, stock, tmp_path_factory):
    """Return the output of `OTHERS` in the account and in an account without access to the cluster."""
    program = [line for what, lines in OTHERS.items() for line in (f"print({'## ' + what!r})", *lines)]
    answers = []
    for account in (home, tmp_path_factory.mktemp("empty")):
        parts = run(program, account, OTHER=stock.scheduler.address).split("## ")[1:]
        answers.append(dict(part.split("\n", 1) for part in parts))
    return answers


@pytest.mark.parametrize("what", OTHERS)
def test_other_programs_of_the_account_are_unchanged(told, what):
    inside, outside = told
    assert outside[what] and inside[what] == outside[what]


def test_client_without_the_preload_connects_by_address(home, encrypted):
    program = [
        "import dask",
        "print(Client(**dask.config.get('daskops.client'), timeout=20).submit(sum, [1, 2]).result())",
    ]
    assert run(program, home, DASK_DISTRIBUTED__CLIENT__PRELOAD="[]") == "3\n"
