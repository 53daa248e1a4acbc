# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that make certificates on the controller."""

import copy as copies
import json
import os
import time

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.daskops.cluster.plugins.action.make_certificates import GROUPS as GROUPS_OF_KINDS
from ansible_collections.daskops.cluster.plugins.action.make_certificates import claimed, described
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import digest, fingerprints, wanted_files
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


#: Addresses at the ends of a host's route to the scheduler.
ROUTE = ["10.0.0.7", "10.0.0.1"]
#: Message about a host with the address of another, after the name of the host.
CLAIM = (
    "the address {0}, but {1} has it. Correct dask_interface or dask_bind_address of the wrong host, or set "
    "dask_worker_contact_host for a host behind a gateway. If {2} does not have this address, it may be compromised: "
    "inspect it, and exclude it with --limit until then."
)


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
    # These strategies register each result of a task with `run_once` for all hosts, so the report may be lost.
    assert changes(done) == 1, done.stdout
    directory = Directory(str(tmp_path / "tls"))
    assert [directory.check(worker_name(host)) for host in hosts] == [""] * 8


def test_certificates_do_not_name_all_addresses(tmp_path):
    (play,) = copies.deepcopy(PLAYBOOK)
    play["tasks"][0] = {"ansible.builtin.set_fact": {"__dask_host": "{{ reported[inventory_hostname] }}"}}
    reported = {**dict.fromkeys(SERVICES, LOOKED), "worker2": {**LOOKED, "address": "0.0.0.0", "route": ROUTE}}
    assert changes(run(tmp_path / "tls", playbook=[play], reported=reported)) == 1
    hosts = Directory(str(tmp_path / "tls")).hosts(WORKERS[1])
    assert hosts == {"worker2", "10.0.0.7", "127.0.0.1", "localhost"}


def test_host_that_reports_the_address_of_the_scheduler_gets_no_certificate(tmp_path):
    (play,) = copies.deepcopy(PLAYBOOK)
    play["tasks"][0] = {"ansible.builtin.set_fact": {"__dask_host": "{{ reported[inventory_hostname] }}"}}
    reported = {**dict.fromkeys(SERVICES, LOOKED), "worker2": {**LOOKED, "address": "10.0.0.1", "route": ROUTE}}
    done = run(tmp_path / "tls", playbook=[play], reported=reported, dask_scheduler_host="10.0.0.1")
    assert done.returncode != 0 and not (tmp_path / "tls").exists()
    assert f"worker2 reports {CLAIM.format('10.0.0.1', 'the scheduler', 'worker2')}" in " ".join(
        (done.stdout + done.stderr).split()
    )


def about(address, route="", kinds=("worker",), **more):
    """Return what `described` returns for a host that reports an address and the source address of its route."""
    info = {**LOOKED, "address": address, "route": [route or address, "10.0.0.1"], **more}
    groups = {GROUPS_OF_KINDS[kind]: ["host"] for kind in kinds}
    plan = {"hosts": {"host": {"contact_host": info.pop("contact_host", "")}}}
    hostvars = {"host": {"ansible_host": info.pop("ansible_host", None)}}
    return described(Directory("."), {"host": info}, groups, hostvars, plan, True)["host"]


SCHEDULER = about("10.0.0.1", kinds=["scheduler"])


@pytest.mark.parametrize(
    "host",
    [
        about("10.0.0.1"),
        about("10.0.0.2", "10.0.0.1"),
        about("0.0.0.0", "10.0.0.1"),
        about("10.0.0.2", worker_addresses={"eth1": "10.0.0.1"}),
    ],
)
def test_host_that_reports_the_address_of_another_is_named(host):
    expected = f"evil reports {CLAIM.format('10.0.0.1', 'head', 'evil')}"
    assert claimed({"head": SCHEDULER, "evil": host}, ["10.0.0.1"]) == [expected]
    of_a_run_with_limit = f"evil reports {CLAIM.format('10.0.0.1', 'the scheduler', 'evil')}"
    assert claimed({"evil": host}, ["10.0.0.1"]) == [of_a_run_with_limit]
    two = claimed({"w1": about("10.0.0.1"), "evil": host}, ["head"])
    assert expected.replace("head", "w1") in two


@pytest.mark.parametrize(
    "hosts",
    [
        {"both": about("10.0.0.1", kinds=["scheduler", "worker"]), "w1": about("10.0.0.2")},
        {"head": SCHEDULER, "w1": about("127.0.0.1"), "w2": about("127.0.0.1")},
        # Hosts behind different gateways.
        {"head": SCHEDULER, "w1": about("10.0.0.2"), "w2": about("10.0.0.2", contact_host="192.0.2.7")},
        # Virtual machines whose first network is the same for each.
        {"head": SCHEDULER, "w1": about("10.0.0.2", "10.0.2.15"), "w2": about("10.0.0.3", "10.0.2.15")},
        # A worker's host that forwards connections to the scheduler.
        {"w1": about("10.0.0.1", ansible_host="10.0.0.1")},
    ],
)
def test_hosts_of_a_proper_cluster_report_no_address_of_another(hosts):
    assert claimed(hosts, ["10.0.0.1"]) == []


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
            "current": {kind_of(unit): digest(ca, bundle)},
            "public": {},
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


@pytest.mark.parametrize("whose", ["made", "own"])
def test_choices_of_tls_without_a_connection_fail_the_run(tmp_path, whose):
    path = Own(tmp_path / "tls").path if whose == "own" else tmp_path / "tls"
    chosen = {"distributed": {"comm": {"tls": {"max-version": 1.2, "ciphers": "aNULL"}}}}
    done = run(path, dask_tls_certificates=whose, dask_config=chosen, dask_scheduler_host="head")
    said = " ".join((done.stdout + done.stderr).split())
    assert (
        done.returncode != 0
        and "dask_config: with distributed.comm.tls, the scheduler on head (max-version 1.2" in said
    )
    assert whose == "own" or not (path / "ca.pem").exists()


# Several controllers


#: Kind of service, unit and certificate of each host of `INVENTORY`.
SERVICES = {
    "head": ("scheduler", "dask-scheduler.service", "scheduler"),
    "worker1": ("worker", "dask-worker@1.service", WORKERS[0]),
    "worker2": ("worker", "dask-worker@1.service", WORKERS[1]),
}


def states_of(path):
    """Return what `host_info` reports about the certificates of each host after they were installed from a directory."""
    directory, states = Directory(str(path)), {}
    for host, (kind, unit, name) in SERVICES.items():
        ca, bundle = directory.trusted(), directory.bundle(name)
        current = {kind: digest(ca, bundle)}
        states[host] = {
            "installed": wanted_files(ca, {kind: bundle}, ""),
            "loaded": {unit: current[kind]},
            "current": current,
            "public": {"ca": ca, kind: bundle.partition("-----BEGIN PRIVATE KEY")[0]},
        }
    return states


def several(work, path, *tasks, states, **variables):
    """Run tasks for hosts in given states, and return the run and the results of `make_certificates`."""
    (play,) = copies.deepcopy(PLAYBOOK)
    look = {
        "__dask_host": "{{ looked | combine({'certificates': states[inventory_hostname], "
        "'authorities': authorities[inventory_hostname]}) }}"
    }
    shown = []
    for number, arguments in enumerate(tasks):
        module = {"plan": "{{ __dask_plan }}", **arguments}
        keep = {"content": "{{ made | to_json }}", "dest": f"{work}/result{number}.json", "mode": "0600"}
        shown += [
            {"daskops.cluster.make_certificates": module, "run_once": True, "register": "made"},
            {"ansible.builtin.copy": keep, "run_once": True, "delegate_to": "localhost", "check_mode": False},
        ]
    playbook = [{**play, "tasks": [{"ansible.builtin.set_fact": look}, play["tasks"][1], *shown]}]
    authorities = {host: fingerprints(about["public"]["ca"]) for host, about in states.items()}
    arguments = variables.pop("arguments", [])
    done = run(path, "-vvv", *arguments, playbook=playbook, states=states, authorities=authorities, **variables)
    results = [json.loads(file.read_text()) for file in sorted(work.glob("result*.json"))]
    return done, results


def authority(path, *more):
    """Return ``dask_tls_files`` with the CA and other files of a directory."""
    return {name: (path / name).read_text() for name in ("ca.pem", "ca.key", *more)}


def assert_no_keys(done, *paths):
    """Assert that the output of a run with maximum verbosity has no line of a private key."""
    for path in paths:
        for file in path.rglob("*.key"):
            assert file.read_text().splitlines()[1] not in done.stdout + done.stderr


@pytest.fixture
def cluster(tmp_path):
    """Return the directory of the controller that made the certificates of `INVENTORY`."""
    make(tmp_path / "first/tls", names=NAMES)
    return tmp_path / "first/tls"


@pytest.fixture
def other(tmp_path):
    """Return the directory of another controller, which does not exist."""
    (tmp_path / "second").mkdir()
    return tmp_path / "second/tls"


def test_other_controller_with_the_ca_in_the_variable_changes_nothing(cluster, other):
    done, (result,) = several(other.parent, other, {}, states=states_of(cluster), dask_tls_files=authority(cluster))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (result["needed"], result["outdated"], result["certificates"]) == (False, [], [])
    assert result["kept"] == sorted(["scheduler", *WORKERS])
    assert not other.exists()
    assert_no_keys(done, cluster)


def test_other_controller_renews_only_what_is_not_good(cluster, other):
    states = states_of(cluster)
    states["worker2"]["public"]["worker"] = states["worker1"]["public"]["worker"]  # that of another host
    done, (result,) = several(other.parent, other, {}, states=states, dask_tls_files=authority(cluster))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (result["certificates"], result["outdated"]) == ([WORKERS[1]], ["worker2"])
    assert f"New certificates: {WORKERS[1]} (not for worker2)." in result["report"]
    assert set(tree(other)) == {".gitignore", f"{WORKERS[1]}.pem", f"{WORKERS[1]}.key"}
    assert_no_keys(done, cluster, other)
    # A run that ends before the certificate is installed leaves it in the directory, and the next run installs it.
    before = tree(other)
    done, (result,) = several(other.parent, other, {}, states=states, dask_tls_files=authority(cluster))
    assert (result["certificates"], result["outdated"]) == ([], ["worker2"]) and tree(other) == before


def test_host_keeps_its_certificate_even_if_the_controller_has_another(cluster, other):
    files = authority(cluster)
    make(cluster, "certificates", names=NAMES)
    states = states_of(cluster)
    make(cluster, "certificates", names=NAMES)
    done, (result,) = several(other.parent, cluster, {}, states=states, dask_tls_files=files)
    assert (result["needed"], result["outdated"]) == (False, [])


def test_rotation_with_the_ca_in_the_variable_renews_all_certificates(cluster, other):
    states, files = states_of(cluster), authority(cluster)
    done, (result,) = several(other.parent, other, {"rotation": "certificates"}, states=states, dask_tls_files=files)
    assert result["certificates"] == sorted(["scheduler", *WORKERS]) and result["kept"] == []
    assert len(result["outdated"]) == 3


def test_shared_certificate_of_workers_is_rejected_if_the_collection_makes_them(cluster, other):
    files = authority(cluster)
    files["worker.pem"] = files["ca.pem"]
    done, dummy = several(other.parent, other, {}, states=states_of(cluster), dask_tls_files=files)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "dask_tls_files['worker.pem'] is set, but each worker host has its own" in said


def test_certificate_of_an_unknown_host_causes_a_warning(cluster, other):
    names = [f"{WORKERS[0]}.{kind}" for kind in ("pem", "key")]
    files = authority(cluster, *names)
    files["workers/wroker2.pem"] = files["ca.pem"]
    done, (result,) = several(other.parent, other, {}, states=states_of(cluster), dask_tls_files=files)
    assert result["warnings"] == [
        "dask_tls_files has workers/wroker2.pem, but dask_workers has no such host. Remove or rename it."
    ]
    assert (result["kept"], result["needed"], result["outdated"]) == (["scheduler", WORKERS[1]], False, [])


def test_invalid_files_fail_the_run_without_their_content(cluster, other):
    line = (cluster / "ca.key").read_text().splitlines()[1]
    done, dummy = several(other.parent, other, {}, states=states_of(cluster), dask_tls_files={"ca.key": line})
    assert (
        done.returncode != 0 and "dask_tls_files['ca.key'] does not contain a private key" in done.stdout + done.stderr
    )
    assert_no_keys(done, cluster)


def test_files_come_from_a_vault_and_from_lookups(cluster, other):
    vault = VaultLib([("default", VaultSecret(b"open sesame"))])
    (other.parent / "password").write_text("open sesame")
    encrypted = vault.encrypt((cluster / "ca.key").read_text()).decode().replace("\n", "\n      ")
    lookup = "{{ lookup('ansible.builtin.file', '" + str(cluster / "ca.pem") + "') }}"
    (other.parent / "vars.yml").write_text(
        f'dask_tls_files:\n  ca.pem: "{lookup}"\n  ca.key: !vault |\n      {encrypted}\n'
    )
    arguments = ["-e", f"@{other.parent}/vars.yml", f"--vault-password-file={other.parent}/password"]
    done, (result,) = several(other.parent, other, {}, states=states_of(cluster), arguments=arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (result["needed"], result["outdated"]) == (False, []) and not other.exists()
    assert_no_keys(done, cluster)


def test_failed_lookup_is_reported_without_its_template(cluster, other):
    files = {"ca.key": "{{ lookup('ansible.builtin.file', '/nowhere/password-in-template') }}"}
    done, dummy = several(other.parent, other, {}, states=states_of(cluster), dask_tls_files=files)
    assert (
        done.returncode != 0 and "dask_tls_files cannot be evaluated. Correct the template" in done.stdout + done.stderr
    )


def test_own_certificates_need_no_directory(tmp_path, other):
    own = Own(tmp_path / "own", scheduler={"hosts": ["head", "localhost"]})
    files = {name: text.rstrip() for name, text in tree(own.path).items()}
    done = run(other, dask_tls_certificates="own", dask_tls_files=files, dask_scheduler_host="head")
    assert changes(done) == 0 and not other.exists()


def test_controller_without_the_directory_is_told_what_to_do(cluster, other):
    done, dummy = several(other.parent, other, {}, states=states_of(cluster))
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and f"but {other} does not exist. Do one of these: correct dask_tls_directory" in said
    assert not other.exists()


REISSUE = [{"rotation": "reissue"}, {"rotation": "certificates", "installed": True}]


def test_reissue_makes_a_ca_first_and_then_all_certificates(cluster, other):
    states = states_of(cluster)
    checked = several(other.parent, other, *REISSUE, states=states, arguments=["--check"])
    assert checked[0].returncode == 0, checked[0].stdout + checked[0].stderr
    assert [result["authority"] for result in checked[1]] == [True, True] and not other.exists()
    done, (first, second) = several(other.parent, other, *REISSUE, states=states)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (first["authority"], first["certificates"]) == (True, [])
    assert first["kept"] == sorted(["scheduler", *WORKERS]) and len(first["outdated"]) == 3
    assert "A new CA: " in first["report"] and "run client.yml" in first["report"]
    assert (second["authority"], second["kept"]) == (False, [])
    assert second["certificates"] == sorted(["client", "scheduler", *WORKERS])
    assert tree(other)["previous-ca.pem"] == tree(cluster)["ca.pem"]
    assert_no_keys(done, cluster, other)


def test_interrupted_reissue_is_completed_by_the_next_one(cluster, other):
    states = states_of(cluster)
    assert several(other.parent, other, REISSUE[0], states=states)[0].returncode == 0
    before = tree(other)
    done, dummy = several(other.parent, other, {}, states=states)
    assert done.returncode != 0 and "was interrupted" in " ".join((done.stdout + done.stderr).split())
    assert tree(other) == before
    done, (first, second) = several(other.parent, other, *REISSUE, states=states)
    assert (first["authority"], first["kept"], len(first["outdated"])) == (False, sorted(["scheduler", *WORKERS]), 3)
    assert tree(other)["ca.pem"] == before["ca.pem"] and len(second["certificates"]) == 4


def test_finish_needs_the_new_certificates_on_the_hosts(cluster, other):
    states = states_of(cluster)
    assert several(other.parent, other, *REISSUE, states=states)[0].returncode == 0
    before = tree(other)
    done, dummy = several(other.parent, other, {"rotation": "finish"}, states=states)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "head: its services still have a certificate of the previous CA" in said
    assert tree(other) == before
    done, results = several(other.parent, other, {"rotation": "finish"}, states=states_of(other))
    assert done.returncode == 0 and results[0]["needed"] and "previous-ca.pem" not in tree(other)


def test_reissue_with_a_limit_is_rejected(cluster, other):
    limit = ["--limit", "head,worker1"]
    done, dummy = several(other.parent, other, REISSUE[0], states=states_of(cluster), arguments=limit)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "worker2: not in this run, but dask_tls_rotation=reissue needs all hosts" in said
    assert not other.exists()


def test_reissue_leaves_out_hosts_in_maintenance(cluster, other):
    states = states_of(cluster)
    inventory = copies.deepcopy(INVENTORY)
    inventory["dask_workers"]["hosts"]["worker2"] = {"dask_maintenance": True}
    done, (first, second) = several(other.parent, other, *REISSUE, states=states, inventory=inventory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert first["authority"] and WORKERS[1] not in second["certificates"]


def test_own_ca_is_not_reissued(tmp_path):
    own = Own(tmp_path / "tls")
    done = run(own.path, playbook=rotating("reissue"), dask_tls_certificates="own")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "dask_tls_rotation is reissue, but the certificates are your own" in said
