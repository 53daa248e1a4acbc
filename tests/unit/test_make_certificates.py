# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that make certificates on the controller."""

import copy as copies
import json
import os
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import digest, wanted_files
from ansible_collections.daskops.cluster.plugins.module_utils.units import kind_of
from ansible_collections.daskops.cluster.plugins.plugin_utils import certificates as making
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    DAY,
    Directory,
    worker_name,
)
from certificate_directories import INVENTORY, LOOKED, PLAYBOOK, WORKERS, Own, changes, make, run, tree

#: The host names and addresses of each certificate of `INVENTORY`.
NAMES = {
    "client": ["client"],
    "scheduler": ["head", "127.0.0.1", "localhost"],
    WORKERS[0]: ["worker1", "fd00::1", "127.0.0.1", "localhost"],
    WORKERS[1]: ["worker2", "127.0.0.1", "localhost"],
}


def test_certificates_are_made_once(tmp_path):
    first = run(tmp_path / "tls")
    assert changes(first) == 1
    assert f"A new CA: {tmp_path}/tls/ca.pem." in first.stdout
    assert "New certificates: client, scheduler, workers/worker1, workers/worker2 (missing)." in first.stdout
    before = tree(tmp_path / "tls")
    assert set(before) == {
        ".gitignore", "ca.pem", "ca.key",
        *(f"{name}.{kind}" for name in ("client", "scheduler", *WORKERS) for kind in ("pem", "key")),
    }  # fmt: skip
    again = run(tmp_path / "tls")
    assert changes(again) == 0 and tree(tmp_path / "tls") == before
    directory = Directory(str(tmp_path / "tls"))
    assert {name: directory.hosts(name) for name in NAMES} == {name: set(hosts) for name, hosts in NAMES.items()}
    assert 364 < (directory.expires(WORKERS[0]) - time.time()) / DAY < 366


def test_check_mode_lists_new_certificates_and_makes_none(tmp_path):
    done = run(tmp_path / "tls", "--check", "--diff")
    assert changes(done) == 1 and not (tmp_path / "tls").exists()
    assert "+scheduler.pem" in done.stdout and "New certificates: client, scheduler" in done.stdout


@pytest.mark.parametrize("strategy", ["free", "host_pinned"])
def test_concurrent_hosts_share_one_ca(tmp_path, strategy):
    """A strategy that ignores `run_once` runs the task for each host in parallel."""
    (play,) = copies.deepcopy(PLAYBOOK)
    looking, making = {**play, "tasks": play["tasks"][:2]}, {**play, "tasks": play["tasks"][2:]}
    making["strategy"] = f"ansible.builtin.{strategy}"
    hosts = {f"worker{number}": {} for number in range(8)}
    done = run(tmp_path / "tls", playbook=[looking, making], inventory={"dask_workers": {"hosts": hosts}})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("A new CA: ") == 1
    directory = Directory(str(tmp_path / "tls"))
    assert [directory.check(worker_name(host)) for host in hosts] == [""] * 8


def test_certificates_do_not_name_all_addresses(tmp_path):
    looked = {**LOOKED, "address": "0.0.0.0", "route": ["10.0.0.7", "10.0.0.1"]}
    assert changes(run(tmp_path / "tls", looked=looked)) == 1
    hosts = Directory(str(tmp_path / "tls")).hosts(WORKERS[1])
    assert hosts == {"worker2", "10.0.0.7", "127.0.0.1", "localhost"}


def test_certificates_name_hosts_for_clients_and_gateways(tmp_path):
    inventory = copies.deepcopy(INVENTORY)
    inventory["dask_workers"]["hosts"]["worker2"] = {"dask_worker_contact_host": "Gate.example.org"}
    assert changes(run(tmp_path / "tls", inventory=inventory)) == 1
    assert changes(run(tmp_path / "tls", inventory=inventory)) == 0
    done = run(tmp_path / "tls", inventory=inventory, dask_client_scheduler_host="dask.example.org")
    assert changes(done) == 1 and "New certificates: scheduler (not for dask.example.org)." in done.stdout
    directory = Directory(str(tmp_path / "tls"))
    assert directory.hosts("scheduler") == {"head", "dask.example.org", "127.0.0.1", "localhost"}
    assert directory.hosts(WORKERS[1]) == {"worker2", "gate.example.org", "127.0.0.1", "localhost"}
    assert "gate.example.org" not in directory.hosts(WORKERS[0])


def test_certificates_that_expire_soon_are_renewed(tmp_path):
    now = time.time()
    make(tmp_path / "tls", now=now - 340 * DAY)
    before = tree(tmp_path / "tls")
    done = run(tmp_path / "tls", "--check")
    assert changes(done) == 1 and tree(tmp_path / "tls") == before
    done = run(tmp_path / "tls")
    assert changes(done) == 1
    until = making.date(now + 25 * DAY)
    assert f"New certificates: client, scheduler, workers/worker1, workers/worker2 (expires on {until})." in done.stdout
    assert "Run client.yml, so that users get the new client certificate" in done.stdout
    assert tree(tmp_path / "tls")["ca.pem"] == before["ca.pem"]
    assert changes(run(tmp_path / "tls")) == 0


def test_renewal_of_the_client_certificate_alone_concerns_no_host(tmp_path):
    """The run needs a host for the task that makes the certificate, and changes nothing there."""
    path = tmp_path / "tls"
    make(path, names=NAMES)
    make(path, "certificates", names={"client": NAMES["client"]}, days=40)
    before, directory = tree(path), Directory(str(path))
    states = {}
    for host, unit, name in (
        ("head", "dask-scheduler.service", "scheduler"),
        ("worker1", "dask-worker@1.service", WORKERS[0]),
        ("worker2", "dask-worker@1.service", WORKERS[1]),
    ):
        ca, bundle = directory.trusted(), directory.bundle(name)
        states[host] = {
            "installed": wanted_files(ca, {kind_of(unit): bundle}, ""),
            "loaded": {unit: digest(ca, bundle)},
        }
    (play,) = PLAYBOOK
    look = {"__dask_host": "{{ looked | combine({'certificates': states[inventory_hostname]}) }}"}
    plays = []
    # Nothing is due 30 days before the end, the client's certificate is due 50 days before, and then nothing again.
    for number, warn_days in enumerate((30, 50, 50)):
        kept = {"content": "{{ __dask_certificates | to_json }}", "dest": f"{tmp_path}/{number}.json", "mode": "0600"}
        tasks = [
            {"ansible.builtin.set_fact": look},
            *play["tasks"][1:],
            {"ansible.builtin.copy": kept, "run_once": True, "delegate_to": "localhost"},
        ]
        plays.append({**play, "tasks": tasks, "vars": {"dask_tls_warn_days": warn_days}})
    done = run(path, playbook=plays, states=states)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(3)]
    assert [result["needed"] for result in results] == [False, True, False]
    assert [result["certificates"] for result in results] == [[], ["client"], []]
    assert [result["outdated"] for result in results] == [[], ["head"], []]
    report = results[1]["report"].splitlines()
    assert report[0].startswith("New certificates: client (expires on ") and report[1].startswith("Run client.yml, so")
    after = tree(path)
    assert {name for name in after if after[name] != before[name]} == {"client.pem", "client.key"}


def test_next_run_moves_files_of_an_interrupted_run_into_place(copy, monkeypatch):
    """client.yml and other tools read only the final paths."""

    def fail(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            make(copy, "certificates", names={"client": ["client"]})
    wanted = (copy / ".ready/client.pem").read_text()
    assert (copy / "client.pem").read_text() != wanted
    assert changes(run(copy, "--check")) == 1 and (copy / "client.pem").read_text() != wanted
    done = run(copy)
    assert changes(done) == 1 and "The certificates of an interrupted run were installed." in done.stdout
    assert (copy / "client.pem").read_text() == wanted and not (copy / ".ready").exists()


def test_unusable_file_fails_the_run_without_a_traceback(copy):
    (copy / "ca.pem").write_bytes(b"\x30\x82\xff\xfe")
    for whose in ("made", "own"):
        done = run(copy, dask_tls_certificates=whose)
        assert done.returncode != 0
        said = " ".join((done.stdout + done.stderr).split())
        assert f"{copy}/ca.pem is not a text file. Convert it to PEM" in said and "Traceback" not in said


def test_missing_cryptography_fails_the_run(tmp_path):
    (tmp_path / "cryptography.py").write_text("raise ImportError('it is broken')\n")
    done = run(tmp_path / "tls", environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "cannot import cryptography (it is broken), which is needed for certificates. Install the package" in said
    assert "Traceback" not in said and not (tmp_path / "tls").exists()


def rotating(rotation):
    """Return a playbook that renews certificates as rotate_certificates.yml does."""
    (play,) = copies.deepcopy(PLAYBOOK)
    task = {"daskops.cluster.make_certificates": {"plan": "{{ __dask_plan }}", "rotation": rotation}, "run_once": True}
    return [{**play, "tasks": [*play["tasks"][:2], task]}]


@pytest.mark.parametrize("rotation", ["authority", "finish"])
def test_own_ca_is_not_rotated(tmp_path, rotation):
    own = Own(tmp_path / "tls")
    before = tree(own.path)
    done = run(own.path, playbook=rotating(rotation), dask_tls_certificates="own")
    assert done.returncode != 0 and tree(own.path) == before
    said = " ".join((done.stdout + done.stderr).split())
    assert f"dask_tls_rotation is {rotation}, but the certificates are your own" in said


def test_workers_of_an_external_scheduler_need_own_certificates(tmp_path):
    variables = {
        "dask_scheduler_address": "tls://10.0.0.5:8786",
        "inventory": {"dask_workers": INVENTORY["dask_workers"]},
    }
    done = run(tmp_path / "tls", **variables)
    assert done.returncode != 0 and not (tmp_path / "tls").exists()
    assert "workers need certificates of its CA" in done.stdout + done.stderr
    own = Own(tmp_path / "own")
    for kind in ("pem", "key"):
        (own.path / f"scheduler.{kind}").unlink()
    assert changes(run(own.path, playbook=rotating("certificates"), dask_tls_certificates="own", **variables)) == 0
