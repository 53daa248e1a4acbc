# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as the role makes them, what is refused, and real servers that read them again while they run."""

import getpass
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.action import certificates as certificates_action
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    digest,
    fingerprints,
    installed_files,
    loaded_certificates,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import NAMES, Directory, plan
from conftest import scheduler, wait_until, worker
from distributed import Client
from distributed.security import Security

ROOT = Path(__file__).parents[2]
HOSTS = ["127.0.0.1"]
PLAYBOOK = [
    {
        "hosts": "dask_scheduler:dask_workers",
        "gather_facts": False,
        "roles": ["daskops.cluster.common"],
        "vars_files": [str(ROOT / "roles/tls/vars/main.yml")],
        "tasks": [
            {
                "daskops.cluster.plan_certificates": {
                    "directory": "{{ dask_tls_directory }}",
                    "made": True,
                    "scheduler_hosts": "{{ [dask_scheduler_host] }}",
                    "rotation": "{{ rotation }}",
                },
                "run_once": True,
                "register": "__dask_certificates",
            },
            {"ansible.builtin.import_tasks": str(ROOT / "roles/tls/tasks/make.yml")},
        ],
    }
]
INVENTORY = {
    "dask_scheduler": {"hosts": {"head": {"ansible_host": "127.0.0.1"}}},
    "dask_workers": {"hosts": {"worker1": {"ansible_host": "fd00::1"}, "worker2": {}}},
}


def run(directory, rotation="", inventory=INVENTORY, environment=None, **variables):
    """Run the role's tasks as site.yml does."""
    work = directory.parent
    (work / "hosts.json").write_text(json.dumps(inventory))
    (work / "playbook.yml").write_text(yaml.safe_dump(PLAYBOOK))
    given = json.dumps({"dask_tls_directory": str(directory), "rotation": rotation, **variables})
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(work / "tmp")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.json", "playbook.yml", "-e", given],
        cwd=work,
        env={**os.environ, **settings, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def make(directory, *arguments, **variables):
    """Run the role's tasks, and return how many changed something."""
    done = run(directory, *arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(int(line.split("changed=")[1].split()[0]) for line in done.stdout.splitlines() if "changed=" in line)


def test_what_makes_them_is_missing(tmp_path):
    elsewhere = {"ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false", "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections")}
    done = run(tmp_path / "tls", environment=elsewhere)
    assert done.returncode != 0
    assert (
        "Certificates are made with the collection community.crypto, which is not installed"
        in done.stderr + done.stdout
    )
    assert "ansible-galaxy collection install community.crypto" in done.stderr + done.stdout
    assert not (tmp_path / "tls").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates") / "tls"
    assert make(directory) > 0
    return directory


@pytest.fixture
def copy(made, tmp_path):
    """The certificates, to do with what a test likes."""
    return Path(shutil.copytree(made, tmp_path / "tls"))


def stage(directory, tmp_path_factory, *arguments, **variables):
    """A copy of the directory after one more run."""
    where = tmp_path_factory.mktemp("certificates") / "tls"
    shutil.copytree(directory, where)
    make(where, *arguments, **variables)
    return where


@pytest.fixture(scope="module")
def begun(made, tmp_path_factory):
    """There is a new authority, and no certificate of it yet."""
    return stage(made, tmp_path_factory, "authority")


@pytest.fixture(scope="module")
def renewed(begun, tmp_path_factory):
    """The certificates are of the new authority, and the old one is trusted still."""
    return stage(begun, tmp_path_factory, "certificates", dask_tls_days=30)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Another cluster's, whose hosts are reached by their names alone."""
    directory = tmp_path_factory.mktemp("stranger") / "tls"
    make(directory, inventory={"dask_scheduler": {"hosts": {"head": {}}}, "dask_workers": {"hosts": {"worker1": {}}}})
    return directory


def nothing(directory, **arguments):
    wanted, problems = plan(str(directory), arguments.pop("made", True), HOSTS, arguments.pop("authorities", {}))
    assert wanted == {"authority": False, "certificates": []}
    return problems


# What is made


def test_certificates_are_made_once(made):
    assert nothing(made) == []
    assert make(made) == 0
    assert {path.name for path in made.iterdir()} == {
        ".gitignore", "ca.pem", "ca.key", *(f"{name}.{kind}" for name in NAMES for kind in ("pem", "key"))
    }  # fmt: skip


def test_nobody_else_reads_them(made):
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o600}


def test_certificates_name_their_hosts(made):
    directory = Directory(str(made))
    assert {"head", "127.0.0.1", "localhost"} <= directory.hosts("scheduler")
    assert {"worker1", "worker2", "fd00::1"} <= directory.hosts("worker")
    assert directory.hosts("client") == {"client"}
    assert 364 < (directory.expires("worker") - time.time()) / 86400 < 366


def test_hosts_may_have_no_address_but_their_names(stranger):
    directory = Directory(str(stranger))
    assert directory.hosts("scheduler") == {"head", "127.0.0.1", "localhost"}
    assert directory.hosts("worker") == {"worker1", "127.0.0.1", "localhost"}


def test_scheduler_at_another_address_gets_another_certificate(made):
    wanted, problems = plan(str(made), True, ["10.1.1.1"], {})
    assert (wanted, problems) == ({"authority": False, "certificates": ["scheduler"]}, [])


def test_own_certificate_that_a_proxy_cannot_verify(copy, made):
    hosts = [*HOSTS, "localhost"]
    assert plan(str(made), False, hosts, {}) == ({"authority": False, "certificates": []}, [])
    for kind in ("pem", "key"):  # one that is not for localhost
        shutil.copy(copy / f"client.{kind}", copy / f"scheduler.{kind}")
    assert nothing(copy, made=False) == []
    (problem,) = plan(str(copy), False, hosts, {})[1]
    assert "scheduler.pem is not for the name localhost" in problem
    assert "Add that name to it, or set dask_dashboard_proxy to false" in problem


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_made(copy, name):
    (copy / f"{name}.key").unlink()
    assert plan(str(copy), True, HOSTS, {})[0]["certificates"] == [name]


def test_key_of_another_certificate_is_made_anew(copy):
    shutil.copy(copy / "client.key", copy / "worker.key")  # as after a run that was cut off between the two
    assert plan(str(copy), True, HOSTS, {})[0]["certificates"] == ["worker"]


# What is refused


def test_authority_without_its_key_is_refused(copy):
    (copy / "ca.key").unlink()
    (problem,) = nothing(copy)
    assert "ca.key does not exist, but ca.pem does" in problem and "dask_tls_certificates" in problem


def test_file_that_is_no_certificate_is_refused(copy):
    (copy / "worker.pem").write_text("nonsense\n")
    (problem,) = nothing(copy)
    assert "worker.pem holds no certificate" in problem


def test_another_authority_than_a_hosts_is_refused(copy):
    known = fingerprints((copy / "ca.pem").read_text())
    assert nothing(copy, authorities={"host1": known, "host2": []}) == []
    (problem,) = nothing(copy, authorities={"host1": known, "host2": ["0" * 64]})
    assert problem.startswith("host2: the authority in") and "dask_tls_directory" in problem


def test_expired_certificate_is_refused(copy):
    make(copy, "certificates", dask_tls_days=0)
    time.sleep(1)
    problems = nothing(copy)
    assert len(problems) == 3 and "client.pem has expired. Run rotate_certificates.yml" in problems[0]
    # And rotation is the way out.
    wanted, problems = plan(str(copy), True, HOSTS, {}, "certificates")
    assert (wanted["certificates"], problems) == (["client", "scheduler", "worker"], [])


def test_own_certificates(copy):
    (copy / "ca.key").unlink()
    assert nothing(copy, made=False) == []
    (copy / "client.key").unlink()
    shutil.copy(copy / "scheduler.key", copy / "worker.key")
    first, second = nothing(copy, made=False)
    assert "worker.key is not the key of worker.pem" in first
    assert "client.key does not exist" in second


def test_own_certificates_of_another_authority_are_refused(copy, stranger):
    shutil.copy(stranger / "ca.pem", copy / "ca.pem")
    problems = nothing(copy, made=False)
    assert len(problems) == 3 and all("is not signed by the authority in ca.pem" in problem for problem in problems)


# A new authority


def test_new_authority_step_by_step(made, begun, renewed):
    old = fingerprints((made / "ca.pem").read_text())
    both = fingerprints(Directory(str(begun)).trusted())
    assert len(both) == 2 and old[0] in both
    # Cut off here, nothing is to be done by site.yml, no third one is made, and it is too early to end it.
    assert nothing(begun, authorities={"host1": old}) == []
    assert plan(str(begun), True, HOSTS, {}, "authority")[0]["authority"] is False
    assert "signed by the previous authority" in plan(str(begun), True, HOSTS, {}, "finish")[1][0]
    assert nothing(renewed) == []
    assert plan(str(renewed), True, HOSTS, {}, "finish")[1] == []
    assert plan(str(renewed), True, HOSTS, {}, "authority")[0]["authority"] is True


def test_new_authority_that_was_cut_off_before_it_was_made(copy):
    shutil.copy(copy / "ca.pem", copy / "previous-ca.pem")
    assert plan(str(copy), True, HOSTS, {}, "authority")[0] == {"authority": True, "certificates": []}
    assert plan(str(copy), True, HOSTS, {})[0] == {"authority": True, "certificates": []}


# Servers


def install(directory, where):
    """Lay the files as the module `certificates` does on a host."""
    source = Directory(str(directory))
    where.mkdir(exist_ok=True)
    texts = {"ca": source.trusted(), "scheduler": source.bundle("scheduler"), "worker": source.bundle("worker")}
    for name, text in texts.items():
        (where / f"{name}.new").write_text(text)
        (where / f"{name}.new").rename(where / f"{name}.pem")
    return texts


def settings(where, kind):
    pem = str(where / f"{kind}.pem")
    return {
        "comm.require-encryption": True,
        "comm.default-scheme": "tls",
        "comm.tls.ca-file": str(where / "ca.pem"),
        f"comm.tls.{kind}": {"cert": pem, "key": pem},
        "comm.tls.client": {"cert": pem, "key": pem},
        "scheduler.dashboard.tls": {"cert": pem, "key": pem},
    }


def security(directory):
    return Security(
        require_encryption=True,
        tls_ca_file=str(directory / "ca.pem"),
        tls_client_cert=str(directory / "client.pem"),
        tls_client_key=str(directory / "client.key"),
    )


def computes(address, directory):
    """Whether a client with the directory's certificate may compute."""
    try:
        with Client(address, security=security(directory), set_as_default=False, timeout=5) as client:
            return client.submit(sum, (1, 2), pure=False).result(60) == 3
    except OSError:
        return False


def summary(url, directory):
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    with urllib.request.urlopen(f"{url}/daskops/summary.json", timeout=10, context=context) as response:
        return json.load(response)


@pytest.fixture
def seen(made, tmp_path):
    """A host's certificates as `host_info` sees them, and what is to be installed there."""
    directory = Directory(str(made))
    texts = {"authorities": directory.trusted(), "certificates": {"worker": directory.bundle("worker")}}
    tls = tmp_path / "tls"
    tls.mkdir()
    (tls / "ca.pem").write_text(texts["authorities"])
    (tls / "worker.pem").write_text(texts["certificates"]["worker"])
    (tls / "ca.pem").chmod(0o644)
    (tls / "worker.pem").chmod(0o400)
    # What the worker's systemd says of it.
    status = f"tcp://x (certificates {digest(texts['authorities'], texts['certificates']['worker'])})"
    states = {"dask-worker@1.service": {"ActiveState": "active", "StatusText": status}}
    found = {"installed": installed_files(str(tls)), "loaded": loaded_certificates(states)}
    return tls, states, found, {"user": getpass.getuser(), **texts}


def test_a_host_that_has_its_certificates_is_not_asked_again(seen):
    dummy, dummy, found, wanted = seen
    assert found["loaded"] and certificates_action.nothing_to_do(found, wanted)


@pytest.mark.parametrize("fault", ["content", "mode", "owner", "missing", "left over", "not read yet"])
def test_a_host_whose_certificates_differ_is_asked(seen, fault):
    tls, states, found, wanted = seen
    if fault == "content":
        (tls / "ca.pem").write_text("another")
    elif fault == "mode":
        (tls / "worker.pem").chmod(0o444)
    elif fault == "owner":
        wanted["user"] = "somebody else"
    elif fault == "missing":
        (tls / "worker.pem").unlink()
    elif fault == "left over":
        (tls / "scheduler.pem").write_text("of a scheduler that has gone")
    else:
        states["dask-worker@1.service"]["StatusText"] = "tcp://x (certificates 000000000000)"
    found = {"installed": installed_files(str(tls)), "loaded": loaded_certificates(states)}
    assert not certificates_action.nothing_to_do(found, wanted)


@pytest.mark.parametrize("nanny", [False, True])
def test_servers_read_new_certificates_while_they_run(made, begun, renewed, tmp_path, nanny):
    where = tmp_path / "installed"
    install(made, where)
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:
        url = started.url.replace("http", "https")
        preload = ["--preload-nanny", "daskops_runtime.nanny"] if nanny else []
        with worker(started, "w", *preload, nanny=nanny, runtime=True, settings=settings(where, "worker")) as process:
            assert computes(started.address, made)
            told = summary(url, made)
            assert told["workers"][0]["certificate_expires"] == Directory(str(made)).expires("worker")
            assert told["scheduler"]["certificate_expires"] == Directory(str(made)).expires("scheduler")
            pids = started.process.pid, told["workers"][0]["pid"]

            def switch(directory):
                install(directory, where)
                for running in (started.process, process):
                    running.send_signal(signal.SIGHUP)

            with Client(started.address, security=security(made), set_as_default=False, timeout=10) as client:
                future = client.submit(time.sleep, 1)
                kept = client.scatter([b"kept"])
                switch(begun)
                switch(renewed)
                # Old and new are both accepted.
                wait_until(lambda: computes(started.address, renewed), interval=0.5)
                assert computes(started.address, begun) and computes(started.address, made)
                finished = Path(shutil.copytree(renewed, tmp_path / "finished"))
                for name in ("previous-ca.pem", "cross-ca.pem"):
                    (finished / name).unlink()
                switch(finished)
                wait_until(lambda: not computes(started.address, begun), interval=0.5)
                assert computes(started.address, finished)
                assert future.result(20) is None and client.gather(kept) == [b"kept"]
            expires = Directory(str(finished)).expires("worker")
            wait_until(lambda: summary(url, finished)["workers"][0]["certificate_expires"] == expires)
            assert (started.process.pid, summary(url, finished)["workers"][0]["pid"]) == pids
            with pytest.raises(urllib.error.URLError):
                summary(url, made)


def test_files_that_cannot_be_read_change_nothing(copy, tmp_path):
    where = tmp_path / "installed"
    install(copy, where)
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:
        url = started.url.replace("http", "https")
        wait_until(lambda: summary(url, copy)["scheduler"]["status"] == "running")
        (where / "scheduler.pem").write_text("nonsense")
        started.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert started.process.poll() is None
        with Client(started.address, security=security(copy), set_as_default=False, timeout=5):
            pass


def test_status_names_what_was_loaded(copy, tmp_path, notify):
    where = tmp_path / "installed"
    texts = install(copy, where)
    variables = {"NOTIFY_SOCKET": notify.path}
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler"), **variables) as started:
        (ready,) = notify.wait_for("READY=1")
        loaded = digest(texts["ca"], texts["scheduler"])
        assert f"STATUS=Scheduler {started.address} running, certificates {loaded}" in ready[1]


def test_what_was_read_again_is_told_at_once(copy, renewed, tmp_path, notify):
    """An operator's run waits for it, however seldom the watchdog is fed."""
    where = tmp_path / "installed"
    install(copy, where)
    variables = {"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": str(300 * 1_000_000)}
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler"), **variables) as started:
        notify.wait_for("READY=1")
        texts = install(renewed, where)
        started.process.send_signal(signal.SIGHUP)
        loaded = digest(texts["ca"], texts["scheduler"])
        notify.wait_for(f"STATUS=Scheduler {started.address} running, certificates {loaded}")


def test_who_has_no_certificate_of_the_cluster_is_refused(copy, stranger, tmp_path):
    where = tmp_path / "installed"
    install(copy, where)
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:
        assert not computes(started.address, stranger)
        with pytest.raises(OSError):
            Client(started.address.replace("tls://", "tcp://"), set_as_default=False, timeout=3)
        with Client(started.address, security=security(copy), set_as_default=False, timeout=10):
            pass
