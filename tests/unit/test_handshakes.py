# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handshakes between certificates, and the check of a user's own certificates."""

import shutil
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    DAY,
    Directory,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.handshakes import (
    own_problems,
    rejected,
    without_common_tls,
)
from certificate_directories import DASHBOARD, WORKERS, Own, accepts
from sentences import only


def test_services_before_and_after_a_rotation_step_accept_each_other(made, begun, renewed, tmp_path):
    steps = [Path(shutil.copytree(step, tmp_path / str(number))) for number, step in enumerate((made, begun, renewed))]
    assert {accepts(server, client) for server in steps for client in steps} == {""}


GOOD = {
    "as they should be": {},
    "RSA of 2048 bits": {name: {"key": "rsa2048"} for name in ("ca", "scheduler", "worker", "client")},
    "Ed25519": {name: {"key": "ed25519"} for name in ("ca", "scheduler", "worker", "client")},
    "no key identifier": {name: {"loose": True} for name in ("scheduler", "worker", "client")},
}


@pytest.mark.parametrize("which", GOOD)
def test_usable_own_certificates_are_accepted(tmp_path, which):
    assert Own(tmp_path / "tls", **GOOD[which]).problems() == []


BAD = {
    "scheduler without client usage": (
        {"scheduler": {"usages": ["SERVER_AUTH"]}},
        "scheduler.pem is rejected as the certificate of a client (the scheduler connects to the scheduler): its extended "
        "key usage lacks clientAuth",
    ),
    "worker without client usage": (
        {"worker": {"usages": ["SERVER_AUTH"]}},
        "(the worker connects to the scheduler): its ext",
    ),
    "worker without server usage": (
        {"worker": {"usages": ["CLIENT_AUTH"]}},
        "worker.pem is rejected as the certificate of a server (the scheduler connects to the worker): its extended key "
        "usage lacks serverAuth",
    ),
    "client for servers alone": (
        {"client": {"usages": ["SERVER_AUTH"]}},
        "client.pem is rejected as the certificate of a client",
    ),
    "expired": ({"worker": {"start": -9, "days": -1}}, "worker.pem expired on "),
    "expired CA": ({"ca": {"start": -9, "days": -1}}, "ca.pem expired on "),
    "not valid yet": ({"client": {"start": 2}}, "client.pem is not valid before "),
    "CA not valid yet": ({"ca": {"start": 2}}, "ca.pem is not valid before "),
    "CA that is none": (
        {"ca": {"ca": False}},
        "ca.pem is not the certificate of a CA (basic constraints without CA:TRUE)",
    ),
    "CA that must not sign": ({"ca": {"keyUsage": ""}}, "its key usage lacks keyCertSign"),
    "weak digest": ({}, "weak digest, such as SHA-1"),
    "short key": ({"worker": {"key": "rsa1024"}}, "worker.pem cannot be loaded: its key is too short"),
    "short key of the CA": ({"ca": {"key": "rsa1024"}}, "the key of its CA is too short"),
    "DSA": ({"client": {"key": "dsa"}}, "client.pem"),
    "another name": (
        {"scheduler": {"hosts": ["elsewhere"]}},
        "whose URL has the name head: it does not name the host. Add that name",
    ),
}


@pytest.mark.parametrize("which", BAD)
def test_unusable_own_certificates_are_rejected(tmp_path, which):
    unusual, said = BAD[which]
    own = Own(tmp_path / "tls", **unusual)
    if which == "weak digest":  # cryptography cannot sign with SHA-1
        own.sign_with_sha1("client")
    problems = own.problems()
    assert problems and all(problem.startswith(str(tmp_path / "tls")) for problem in problems)
    assert any(said in problem for problem in problems), problems
    # One wrong certificate causes one problem. A wrong CA causes up to one for each certificate.
    assert len(problems) == 1 or (which in ("CA that must not sign", "short key of the CA") and len(problems) < 4)


def test_unusable_temporary_directory_is_a_problem(made, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    problem = only(rejected(Directory(str(made)), ["scheduler", "client"]))
    assert f"Certificates cannot be tested in {tmp_path}/none: No such file or directory. Set TMPDIR" in problem


def test_own_files_that_are_missing_or_do_not_match_are_rejected(tmp_path):
    own = Own(tmp_path / "tls")
    (own.path / "client.key").unlink()
    shutil.copy(own.path / "scheduler.key", own.path / "worker.key")
    first, second = own.problems()
    assert "worker.key is not the key of worker.pem" in first
    assert "client.key does not exist" in second
    (own.path / "ca.pem").unlink()
    assert f"{own.path}/ca.pem does not exist. Replace it, or remove dask_tls_certificates" in only(own.problems())


def test_own_key_with_a_passphrase_is_rejected_without_a_prompt(tmp_path):
    own = Own(tmp_path / "tls")
    key = own.key("worker")
    own.write("worker", key, own.certificate("worker", key, own.ca, own.key_of_ca), password=b"secret")
    assert "worker.key cannot be used (" in only(own.problems())
    assert "without a passphrase is needed" in only(own.problems())


def test_own_certificates_of_another_ca_are_rejected(tmp_path, made):
    own, other = Own(tmp_path / "tls"), Own(tmp_path / "other")
    shutil.copy(other.path / "ca.pem", own.path / "ca.pem")
    problems = own.problems()
    assert "scheduler.pem is rejected" in problems[0] and "worker.pem is rejected" in problems[1]
    assert all(
        "it is not signed by a CA in ca.pem, which has a CA of the same name but with another key" in problem
        for problem in problems
    )
    (own.path / "ca.pem").write_text(Path(made / "ca.pem").read_text())
    assert "it is not signed by a CA in ca.pem, and the chain" in own.problems()[0]


def test_own_chain_of_intermediate_cas(tmp_path):
    own = Own(tmp_path / "tls")
    between = own.key("between")
    intermediate = own.certificate("between", between, own.ca, own.key_of_ca, kind="ca")
    key = own.key("worker")
    leaf = own.certificate("worker", key, intermediate, between)
    own.write("worker", key, leaf, intermediate)
    assert own.problems() == []
    own.write("worker", key, leaf)
    assert "worker.pem is rejected" in only(own.problems()) and "the chain in the file does not lead to one" in only(
        own.problems()
    )
    # Python 3.13 accepts an intermediate CA alone in ca.pem; older versions need the root CA as well.
    for name in ("scheduler", "worker", "client"):
        key = own.key(name)
        own.write(name, key, own.certificate(name, key, intermediate, between))
    (own.path / "ca.pem").write_bytes(own.pem(intermediate))
    assert all("ca.pem lacks the CA that signed the CA in it" in problem for problem in own.problems())
    (own.path / "ca.pem").write_bytes(own.pem(intermediate) + own.pem(own.ca))
    assert own.problems() == []


def test_own_certificates_of_single_worker_hosts(tmp_path):
    unusual = {"workers/node2": {"usages": ["SERVER_AUTH"]}, "workers/node4": {"days": -1, "start": -9}}
    own = Own(tmp_path / "tls", **unusual)
    (own.path / "workers").mkdir()
    for name in ("workers/node1", "workers/node2", "workers/node4"):
        key = own.key(name)
        own.write(name, key, own.certificate(name, key, own.ca, own.key_of_ca))
    directory = Directory(str(own.path))
    names = {f"node{number}": directory.name_for("worker", f"node{number}", False) for number in (1, 2, 3, 4)}
    assert names == {"node1": "workers/node1", "node2": "workers/node2", "node3": "worker", "node4": "workers/node4"}
    hosts = {host: {"clock": None, "certificates": [name]} for host, name in names.items()}
    problems = own.problems(hosts=hosts)
    assert "workers/node4.pem expired on" in problems[0]
    assert "workers/node2.pem is rejected as the certificate of a client" in problems[1] and len(problems) == 2


def test_external_scheduler_needs_no_scheduler_certificate(tmp_path):
    own = Own(tmp_path / "tls")
    (own.path / "scheduler.pem").unlink()
    assert own.problems(joins=True, dashboard={}) == []
    assert "scheduler.pem does not exist" in only(own.problems())


def test_own_certificate_without_the_proxys_host_name_is_rejected(tmp_path):
    own = Own(tmp_path / "tls", scheduler={"hosts": ["head"]})
    assert own.problems() == []
    problem = only(own.problems(dashboard={"localhost": "dask_dashboard_proxy"}))
    assert "Add that name to it, or set dask_dashboard_proxy to false" in problem


def test_own_certificate_without_the_host_name_for_clients_is_rejected(tmp_path):
    own = Own(tmp_path / "tls", scheduler={"hosts": ["head", "dask.example.org"]})
    dashboard = {"head": "dask_scheduler_host", "dask.example.org": "dask_client_scheduler_host"}
    assert own.problems(dashboard=dashboard) == []
    problem = only(own.problems(dashboard={**dashboard, "outside": "dask_client_scheduler_host"}))
    assert "whose URL has the name outside: it does not name the host" in problem
    assert "Add that name to it, or set dask_client_scheduler_host to a name or address in the certificate" in problem


def test_own_dashboard_certificate_is_checked_as_python_3_13_does(tmp_path):
    own = Own(tmp_path / "tls", scheduler={"loose": True})
    assert own.problems(strict=False) == []
    assert "rejected as the certificate of the dashboard" in only(own.problems(strict=True))


def test_own_certificates_that_expire_soon_cause_a_warning(tmp_path):
    own = Own(tmp_path / "tls", worker={"days": 20})
    problems, warnings = own_problems(Directory(str(own.path)), False, {}, DASHBOARD)
    assert problems == [] and "worker.pem expires on" in only(warnings)


def test_own_certificates_are_checked_against_hosts_clocks(tmp_path):
    own = Own(tmp_path / "tls")
    hosts = {"node1": {"clock": [-3 * DAY - 1, -3 * DAY + 1], "certificates": ["worker"]}}
    assert only(own.problems(hosts=hosts)).startswith(
        "node1: its clock is 72 h behind the controller's, and ca.pem is valid"
    )


OLD, NEW, RSA = {"max-version": 1.2}, {"min-version": 1.3}, {"ciphers": "ECDHE-RSA-AES256-GCM-SHA384"}


def choices(scheduler, worker, *variables):
    """Return the choices of the variables of a scheduler and of a worker host."""
    return [
        {"kind": kind, "host": host, "settings": settings, "variables": list(variables)}
        for kind, host, settings in (("scheduler", "head", scheduler), ("worker", "worker1", worker))
    ]


@pytest.mark.parametrize(
    ("scheduler", "worker"),
    [
        ({}, {}),
        (OLD, OLD),
        (NEW, NEW),
        (NEW, {}),
        (RSA, RSA),  # TLS 1.3 has ciphers of its own
        ({**OLD, "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"}, {}),
        # The host's Dask rejects these.
        ({"ciphers": "ROT13"}, {"max-version": 7}),
        ({"ciphers": ["AES"]}, {"min-version": [1.2]}),
    ],
)
def test_services_with_common_choices_of_tls_are_accepted(made, scheduler, worker):
    assert without_common_tls(Directory(str(made)), choices(scheduler, worker, "dask_config"), True) == []


@pytest.mark.parametrize(
    ("scheduler", "worker", "shown"),
    [
        ({**OLD, **RSA}, {**OLD, **RSA}, "max-version 1.2, ciphers ECDHE-RSA-AES256-GCM-SHA384"),
        ({**OLD, "ciphers": "aNULL"}, {**OLD, "ciphers": "aNULL"}, "max-version 1.2, ciphers aNULL"),
    ],
)
def test_choices_of_tls_without_a_connection_are_rejected(made, scheduler, worker, shown):
    assert without_common_tls(Directory(str(made)), choices(scheduler, worker, "dask_config"), True) == [
        f"dask_config: with distributed.comm.tls, the scheduler on head ({shown}) cannot connect to the scheduler on head "
        f"({shown}), because they have no version of TLS in common, or no cipher for the key of the certificate. Remove "
        "min-version, max-version and ciphers, or set them to values that both have."
    ]


def test_choices_of_tls_that_differ_between_services_are_rejected(made):
    found = without_common_tls(Directory(str(made)), [
        {"kind": "scheduler", "host": "head", "settings": NEW, "variables": ["dask_scheduler_config"]},
        {"kind": "worker", "host": "worker1", "settings": OLD, "variables": ["dask_worker_config"]},
    ], True)  # fmt: skip
    assert only(found).startswith(
        "dask_scheduler_config and dask_worker_config: with distributed.comm.tls, the worker on worker1 (max-version 1.2) "
        "cannot connect to the scheduler on head (min-version 1.3), because"
    )


def test_choices_of_tls_that_exclude_clients_are_rejected(made):
    """The files of clients choose no version and no ciphers, so they have those of Python."""
    only_here = {**OLD, "ciphers": "ECDHE-ECDSA-AES128-CCM8"}
    found = without_common_tls(Directory(str(made)), choices(only_here, only_here, "dask_config"), True)
    assert "the client (Dask's defaults) cannot connect to the scheduler on head (max-version 1.2, ciphers" in only(
        found
    )


def test_choices_of_tls_are_not_blamed_for_certificates(copy):
    """Other checks report certificates that are missing or not usable."""
    wrong = choices({**OLD, **RSA}, {**OLD, **RSA}, "dask_config")
    shutil.copy(copy / "client.key", copy / "scheduler.key")
    (copy / f"{WORKERS[0]}.pem").unlink()
    assert without_common_tls(Directory(str(copy)), wrong, True) == []
