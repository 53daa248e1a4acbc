# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that hosts report, which may be compromised."""

import base64
import datetime
import json
import os
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import certificates as on_host
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    LIMIT,
    fingerprints,
    installed_digests,
    installed_files,
    loaded_certificates,
    public_certificates,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils import certificates as making
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    DAY,
    Directory,
    has_certificates,
    plan,
    worker_name,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import public_certificates as believable
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_certificates import keep, not_renewed, plan_reissue
from certificate_directories import ROOT, WORKERS, accepts, make, needed, tree
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sentences import only

NAMES = {"scheduler": "head", WORKERS[0]: "worker1", WORKERS[1]: "worker2"}
USER = "dask"


def reported(path, name=WORKERS[0], kind="worker", user=USER, host_directory=None):
    """Return what `host_info` reports of a host with a certificate of a directory, in the form of `described`."""
    directory = Directory(str(path))
    where = host_directory or Path(path).parent / f"host-{name.replace('/', '-')}"
    where.mkdir(exist_ok=True)
    for file, text, mode in (("ca", directory.trusted(), 0o644), (kind, directory.bundle(name), 0o400)):
        (where / f"{file}.pem").unlink(missing_ok=True)
        (where / f"{file}.pem").write_text(text)
        (where / f"{file}.pem").chmod(mode)
    return answer(where, name, kind, user)


def answer(where, name=WORKERS[0], kind="worker", user=USER):
    """Return what `host_info` reports of a host with this directory of certificates, whose files belong to ``dask``."""
    installed = {file: [*about[:2], USER] for file, about in installed_files(str(where)).items()}
    public = public_certificates(str(where))
    assert all(map(believable, public.values()))
    return {
        "kinds": [kind],
        "certificates": [name],
        "public": public,
        "installed": installed,
        "user": user,
        "authorities": fingerprints((where / "ca.pem").read_text()),
    }


def given(path, *more):
    """Return ``dask_tls_files`` with the CA of a directory, and with other files of it."""
    return {name: (Path(path) / name).read_text() for name in ("ca.pem", "ca.key", *more)}


def elsewhere(path, *more):
    """Return another controller's directory, with the CA of ``path`` in the variable."""
    return Directory(str(Path(path).parent / "elsewhere"), given(path, *more))


def kept(path, about, names=None, **arguments):
    """Return the names of the certificates that hosts keep, and the reasons for others."""
    directory = elsewhere(path)
    reasons = keep(directory, {"worker1": about}, names or needed(), **arguments)
    return [name.removesuffix(".pem") for name in directory.kept], reasons


def test_good_certificates_are_kept(copy):
    assert kept(copy, reported(copy)) == ([WORKERS[0]], {})
    assert kept(copy, reported(copy, "scheduler", "scheduler")) == (["scheduler"], {})


def test_other_controller_finds_nothing_to_make(copy):
    hosts = {
        host: reported(copy, name, name.partition("/")[0].replace("workers", "worker")) for name, host in NAMES.items()
    }
    directory, names = elsewhere(copy), needed()
    assert keep(directory, hosts, names) == {}
    assert plan(directory, {name: names[name] for name in names if f"{name}.pem" not in directory.kept and name != "client"},
                hosts) == (making.nothing(), [], [])  # fmt: skip
    assert not os.path.exists(directory.path)


def der(tag, *parts):
    """Return a value of ASN.1 with less than 256 bytes."""
    content = b"".join(parts)
    return bytes([tag, 0x81, len(content)]) + content


def slow_key():
    """Return a PKCS#8 key (RFC 5958) whose password takes OpenSSL hours to check, because PBKDF2 has 2**31 - 1 rounds."""
    digest = der(0x30, der(0x06, bytes.fromhex("2a864886f70d020b")), b"\x05\0")
    derivation = der(0x30, der(0x04, bytes(8)), der(0x02, b"\x7f" + b"\xff" * 3), digest)
    cipher = der(0x30, der(0x06, bytes.fromhex("60864801650304012a")), der(0x04, bytes(16)))
    scheme = der(0x30, der(0x30, der(0x06, bytes.fromhex("2a864886f70d01050c")), derivation), cipher)
    key = der(0x30, der(0x30, der(0x06, bytes.fromhex("2a864886f70d01050d")), scheme), der(0x04, bytes(48)))
    name = "ENCRYPTED PRIVATE KEY"
    return f"-----BEGIN {name}-----\n{base64.encodebytes(key).decode()}-----END {name}-----\n"


def test_encrypted_key_of_a_service_is_not_loaded(copy, tmp_path, monkeypatch):
    """Root loads the file, and a task could write this key into it."""
    reported(copy, host_directory=tmp_path)
    bundle = tmp_path / "worker.pem"
    bundle.chmod(0o600)
    bundle.write_text(bundle.read_text().partition("-----BEGIN PRIVATE KEY-----")[0] + slow_key())
    started = time.monotonic()
    assert set(public_certificates(str(tmp_path))) == {"ca"}
    assert time.monotonic() - started < 2
    # The file can change after its text was read.
    monkeypatch.setattr(on_host, "KEY_TIMEOUT", 0.5)
    assert not on_host._key_fits(str(bundle), "")
    assert time.monotonic() - started < 10


def test_reported_certificates_contain_no_key(copy):
    about = reported(copy)
    assert set(about["public"]) == {"ca", "worker"}
    assert "PRIVATE" not in str(about) and (copy / f"{WORKERS[0]}.key").read_text().splitlines()[1] not in str(about)


@pytest.mark.parametrize("name", [WORKERS[1], "scheduler", "client"])
def test_certificate_of_another_is_not_kept(copy, name):
    """The services' account may write the certificate and key of another host or of a client into its file."""
    names, reasons = kept(copy, {**reported(copy, name), "certificates": [WORKERS[0]]})
    assert names == []
    assert reasons[WORKERS[0]] == ("not for a service" if name == "client" else "not for worker1")


def test_certificate_of_another_ca_is_not_kept(copy, tmp_path):
    make(tmp_path / "stranger")
    assert kept(copy, reported(tmp_path / "stranger")) == ([], {WORKERS[0]: "not signed by the CA in ca.pem"})


def test_ca_with_the_same_name_and_another_key_is_not_accepted(copy, tmp_path):
    """An attacker can copy the names in the CA, but does not have its key."""
    ca, path = Directory(str(copy)).certificates("ca")[0], tmp_path / "forged"
    shutil.copytree(copy, path)
    key, forged = ec.generate_private_key(ec.SECP256R1()), Directory(str(path))
    now = time.time()
    extensions = [(x509.BasicConstraints(True, None), True)]
    builder = making.sign("x", key, None, key, now, now + DAY, extensions)
    assert builder.issuer != ca.subject
    rebuilt = (
        x509.CertificateBuilder().subject_name(ca.subject).issuer_name(ca.subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(datetime.datetime(2026, 1, 1)).not_valid_after(datetime.datetime(2046, 1, 1))
        .add_extension(x509.BasicConstraints(True, None), True).sign(key, making.hashes.SHA256())
    )  # fmt: skip
    making.stage(forged, "ca", rebuilt, key)
    forged.commit()
    make(path, "certificates")
    assert kept(copy, reported(path)) == ([], {WORKERS[0]: "not signed by the CA in ca.pem"})


@pytest.mark.parametrize(
    ("age", "days", "reason"), [(400, 365, "expired on "), (340, 365, "expires on "), (-3, 365, "not valid before ")]
)
def test_certificate_outside_its_time_is_not_kept(tmp_path, age, days, reason):
    make(tmp_path / "tls", days=days, now=time.time() - age * DAY)
    names, reasons = kept(tmp_path / "tls", reported(tmp_path / "tls"))
    assert names == [] and reasons[WORKERS[0]].startswith(reason)


def test_certificate_without_a_new_address_is_not_kept(copy):
    names = needed()
    names[WORKERS[0]] += ["10.0.0.9"]
    assert kept(copy, reported(copy), names) == ([], {WORKERS[0]: "not for 10.0.0.9"})


@pytest.mark.parametrize("fault", ["owner", "mode", "expiry", "no expiry"])
def test_damaged_file_is_not_kept(copy, fault):
    about = reported(copy)
    where = copy.parent / f"host-{WORKERS[0].replace('/', '-')}"
    file = where / "worker.pem"
    file.chmod(0o600)
    text = file.read_text()
    if "expiry" in fault:
        text = text.partition("\n")[2] if fault == "no expiry" else re.sub(r"^expires \d+", "expires 4000000000", text)
    file.write_text(text)
    file.chmod(0o644 if fault == "mode" else 0o400)
    about = answer(where, user="ops" if fault == "owner" else USER)
    said = "with another expiry in its file" if "expiry" in fault else "with another owner or mode"
    assert kept(copy, about) == ([], {WORKERS[0]: said})


@pytest.mark.parametrize("content", ["garbage", "empty", "large", "no key", "other key", "NUL", "FIFO", "CA"])
def test_unusable_file_is_not_reported(copy, content):
    reported(copy)
    where = copy.parent / f"host-{WORKERS[0].replace('/', '-')}"
    file, before = where / "worker.pem", Directory(str(copy)).bundle(WORKERS[0])
    file.chmod(0o600)
    certificate, dummy, key = before.partition("-----BEGIN PRIVATE")
    file.write_bytes(
        {
            "garbage": os.urandom(5000),
            "empty": b"",
            "large": before.encode() + b"x" * (10 * 1024**2),
            "no key": certificate.encode(),
            "other key": (certificate + (copy / "scheduler.key").read_text()).encode(),
            "NUL": b"\0" * 100 + before.encode()[:200],
            "FIFO": b"-----BEGIN CERTIFICATE-----\n" * 3000,
            "CA": f"{certificate[:-40]}\n".encode(),
        }[content]
    )
    file.chmod(0o400)
    about = answer(where)
    assert "worker" not in about["public"]
    assert kept(copy, about) == ([], {WORKERS[0]: "not usable on its host"})
    assert ("worker" in installed_digests(str(where))) is (file.stat().st_size <= LIMIT)


def test_malformed_certificates_do_not_end_the_run(copy):
    """A compromised host can report any text that `host_answers` allows."""
    about, chance = reported(copy), random.Random(1)
    block = about["public"]["worker"].partition("\n")[2]
    der = base64.b64decode("".join(block.splitlines()[1:-1]))
    for dummy in range(400):
        damaged = bytearray(der)
        for dummy in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        lines = base64.encodebytes(bytes(damaged)[: chance.choice([10, 200, len(der)])]).decode()
        text = f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"
        about["public"] = {"worker": text, "ca": text}
        assert believable(text)
        if damaged != der:
            assert kept(copy, about)[0] == []
            assert plan_reissue(Directory(str(copy.parent / "x")), {"worker1": about}, [])[1]
    about["public"] = {"worker": "-----BEGIN CERTIFICATE-----\nA===\n-----END CERTIFICATE-----\n"}
    assert kept(copy, about)[0] == []


def test_certificate_in_the_variable_replaces_that_of_the_host(copy):
    files = {**given(copy), f"{WORKERS[0]}.pem": (copy / f"{WORKERS[0]}.pem").read_text()}
    files[f"{WORKERS[0]}.key"] = (copy / f"{WORKERS[0]}.key").read_text()
    directory = Directory("/nowhere", files)
    assert keep(directory, {"worker1": reported(copy)}, needed()) == {} and directory.kept == {}


def test_host_without_a_certificate_has_no_reason(copy):
    about = {**reported(copy), "public": {}, "installed": {}}
    assert kept(copy, about) == ([], {})


def test_clock_of_a_host_is_compared_with_its_own_certificate(copy):
    about = {**reported(copy), "clock": [400 * DAY, 400 * DAY + 1]}
    directory = elsewhere(copy)
    keep(directory, {"worker1": about}, needed())
    problem = only(plan(directory, {}, {"worker1": about})[1])
    assert problem.startswith("worker1: its clock is") and f"{WORKERS[0]}.pem is valid only from" in problem


# Certificates in the variable


def test_given_certificates_are_checked_and_never_made(copy, tmp_path):
    directory = elsewhere(copy, "client.pem", "client.key")
    assert plan(directory, {"client": ["client"]})[:2] == (making.nothing(), [])
    assert "is not renewed" in only(plan(directory, {"client": ["client"]}, rotation="certificates")[2])
    assert "expires on" in only(plan(directory, {"client": ["client"]}, days=500, warn_days=366)[2])
    problem = only(plan(elsewhere(copy, "client.pem"), {"client": ["client"]})[1])
    assert problem.startswith(f"{tmp_path}/elsewhere/client.key does not exist. Replace it, or remove it")
    make(tmp_path / "stranger")
    files = {
        **given(copy),
        **{f"client.{kind}": (tmp_path / f"stranger/client.{kind}").read_text() for kind in ("pem", "key")},
    }
    problem = only(plan(Directory("/nowhere", files), {"client": ["client"]})[1])
    assert problem.startswith("dask_tls_files['client.pem'] cannot be used: not signed by the CA in ca.pem.")


def test_ca_in_the_variable_needs_its_key(copy):
    files = given(copy)
    problem = only(plan(Directory("/nowhere", {"ca.pem": files["ca.pem"]}), needed())[1])
    assert (
        problem
        == "dask_tls_files['ca.pem'] is set, but ca.key is neither there nor in /nowhere. Add it to dask_tls_files."
    )
    # The public certificate may be in the directory, for example in a repository.
    (copy / "ca.key").unlink()
    assert plan(Directory(str(copy), {"ca.key": files["ca.key"]}), needed()) == (making.nothing(), [], [])


@pytest.mark.parametrize("rotation", ["authority", "finish"])
def test_ca_in_the_variable_is_not_rotated(copy, rotation):
    wanted, problems, dummy = plan(elsewhere(copy), needed(), rotation=rotation)
    assert wanted == making.nothing()
    assert f"dask_tls_rotation is {rotation}, but the CA is in dask_tls_files" in only(problems)
    assert "previous-ca.pem" in only(problems)


def test_ca_in_the_variable_is_not_replaced_before_its_end(tmp_path):
    make(tmp_path / "tls", now=time.time() - 3600 * DAY)
    wanted, problems, warnings = plan(elsewhere(tmp_path / "tls"), {}, warn_days=30)
    assert (wanted, problems) == (making.nothing(), [])
    assert "dask_tls_files['ca.pem'] expires on" in only(warnings) and "this one as previous-ca.pem" in only(warnings)


def test_hosts_keep_certificates_of_the_previous_ca_until_they_are_rotated(made, begun, tmp_path):
    files = given(begun, "previous-ca.pem", "cross-ca.pem")
    directory = Directory(str(tmp_path / "none"), files)
    about = reported(made, host_directory=tmp_path / "host")
    assert keep(directory, {"worker1": about}, needed()) == {} and list(directory.kept) == [f"{WORKERS[0]}.pem"]
    assert set(fingerprints(directory.trusted())) > set(about["authorities"])


def test_hosts_with_another_ca_than_the_variable_are_rejected(copy, tmp_path):
    make(tmp_path / "stranger")
    problem = only(plan(elsewhere(tmp_path / "stranger"), needed(), {"worker1": reported(copy)})[1])
    assert problem.startswith("worker1: the host trusts another CA than dask_tls_files['ca.pem']")


OLD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, make, nothing, plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_certificates import keep, plan_reissue

about, files = json.load(open(sys.argv[2])), json.load(open(sys.argv[3]))
directory, names = Directory("/nowhere", files), {"workers/worker1": ["worker1"]}
assert keep(directory, {"worker1": about}, names) == {} and list(directory.kept) == ["workers/worker1.pem"]
assert plan(directory, {}, {"worker1": about}) == (nothing(), [], [])
damaged = {**about, "public": {"worker": "-----BEGIN CERTIFICATE-----\\nA===\\n-----END CERTIFICATE-----\\n"}}
assert keep(directory, {"worker1": damaged}, names) and plan_reissue(Directory("/nowhere"), {"worker1": damaged}, [])[1]
wanted, problems = plan_reissue(Directory("/nowhere"), {"worker1": about}, [])
assert wanted["authority"] and not problems
make(Directory("/nowhere"), wanted, {}, 365)
print("good")
"""


@pytest.mark.parametrize("version", ["3.4.8", "41.0.7"])
def test_old_cryptography_is_supported(copy, tmp_path, version):
    (tmp_path / "about.json").write_text(json.dumps(reported(copy)))
    (tmp_path / "files.json").write_text(json.dumps(given(copy)))
    command = ["uv", "run", "--isolated", "--no-project", "--quiet", "--with", f"cryptography=={version}", "python"]
    arguments = [str(ROOT / ".collections"), str(tmp_path / "about.json"), str(tmp_path / "files.json")]
    done = subprocess.run([*command, "-c", OLD, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr


@pytest.mark.parametrize("installed", ["old", "new", "stranger", "garbage", "nothing"])
def test_trust_does_not_end_while_a_host_has_an_old_certificate(made, renewed, tmp_path, installed):
    """The run that made the new certificates may have been interrupted before it installed them."""
    make(tmp_path / "stranger")
    where = {"old": made, "stranger": tmp_path / "stranger"}.get(installed, renewed)
    about = reported(where, host_directory=tmp_path / "host")
    if installed == "garbage":
        about["public"] = {"worker": "-----BEGIN CERTIFICATE-----\nA===\n-----END CERTIFICATE-----\n"}
    elif installed == "nothing":
        about["public"] = {}
    found = not_renewed(Directory(str(renewed)), {"worker1": about})
    if installed == "old":
        assert only(found).startswith("worker1: its services still have a certificate of the previous CA.")
    else:  # the run replaces the certificate
        assert found == []


# The state of a host that keeps its certificate


@pytest.mark.parametrize("fault", ["", "CA", "left over", "not read yet", "vanished"])
def test_host_that_keeps_its_certificate_changes_only_for_other_reasons(copy, fault):
    reported(copy)
    where = copy.parent / f"host-{WORKERS[0].replace('/', '-')}"
    if fault == "vanished":
        (where / "worker.pem").unlink()
    digests = installed_digests(str(where))
    loaded = "0" * 12 if fault == "not read yet" else digests.get("worker", "0" * 12)
    states = {"dask-worker@1.service": {"ActiveState": "active", "StatusText": f"certificates {loaded}"}}
    installed = {
        name: [*about[:2], "root" if name == "ca.pem" else USER] for name, about in installed_files(str(where)).items()
    }
    if fault == "left over":
        installed["scheduler.pem"] = ["0" * 12, 0o400, USER]
    state = {"installed": installed, "loaded": loaded_certificates(states), "current": digests}
    authorities = (copy / "ca.pem").read_text() + ("another" if fault == "CA" else "")
    assert has_certificates(state, authorities, {}, USER, ["worker"]) is (fault == "")


# A CA whose key is lost


def hosts_of(path, **others):
    """Return the report of each host of a cluster. Keyword arguments are directories with which hosts differ."""
    return {
        host: reported(others.get(host, path), name, name.partition("/")[0].replace("workers", "worker"))
        for name, host in NAMES.items()
    }


def reissue(path, hosts, absent=(), do=True):
    """Plan a reissue as the action plugin does, make the CA, and return the plan and the problems."""
    directory = Directory(str(path))
    wanted, problems = plan_reissue(directory, hosts, absent)
    if do and wanted["authority"]:
        with directory.locked(write=True):
            making.make(directory, wanted, {}, 365)
            directory.commit()
    return wanted, problems


def second_phase(path, hosts, **arguments):
    """Make the certificates of a reissue as the action plugin does; return the problems."""
    directory, names = Directory(str(path)), needed()
    with directory.locked(write=True):
        wanted, problems, dummy = plan(directory, names, hosts, "certificates", installed=True, **arguments)
        if not problems:
            making.make(directory, wanted, names, 365)
            directory.commit()
    return problems


def test_reissue_keeps_the_old_ca_trusted(copy, tmp_path):
    hosts, new = hosts_of(copy), tmp_path / "new"
    wanted, problems = reissue(new, hosts)
    assert problems == [] and wanted["authority"] and wanted["certificates"] == {}
    files = tree(new)
    assert files["previous-ca.pem"] == (copy / "ca.pem").read_text() and files["cross-ca.pem"] == ""
    assert set(files) == {"ca.pem", "ca.key", "previous-ca.pem", "cross-ca.pem", ".gitignore"}
    assert second_phase(new, hosts) == []
    # Services with new certificates and services with old ones accept each other: both trust both CAs.
    during = Path(shutil.copytree(copy, tmp_path / "during"))
    (during / "ca.pem").write_text(Directory(str(new)).trusted())
    for server, client in ((new, during), (during, new), (new, new)):
        assert accepts(server, client) == ""
    # A client with only the old CA does not accept the new certificates, because the old key could not sign the new CA.
    assert accepts(new, copy) != ""
    assert plan(Directory(str(new)), needed(), hosts)[:2] == (making.nothing(), [])
    assert plan(Directory(str(new)), needed(), hosts, "finish")[:2] == ({**making.nothing(), "finish": True}, [])


def test_reissue_is_not_finished_before_all_hosts_have_certificates(copy, tmp_path):
    """A host in maintenance trusts only the old CA until it takes part again."""
    hosts, new = hosts_of(copy), tmp_path / "new"
    reissue(new, hosts)
    assert second_phase(new, hosts) == []
    problem = only(
        plan(Directory(str(new)), needed(), hosts, "finish", others=["scheduler", worker_name("worker3")])[1]
    )
    assert problem.startswith(f"{new}/workers/worker3.pem does not exist, so its host may trust only the previous CA.")


def test_reissue_needs_all_hosts(copy, tmp_path):
    problem = only(reissue(tmp_path / "new", hosts_of(copy), ["worker9"])[1])
    assert problem.startswith("worker9: not in this run") and "dask_maintenance" in problem
    assert not (tmp_path / "new").exists()


def test_host_cannot_smuggle_in_a_ca(copy, tmp_path):
    make(tmp_path / "attacker")
    problem = only(reissue(tmp_path / "new", hosts_of(copy, worker2=tmp_path / "attacker"))[1])
    assert "The hosts trust different CAs" in problem and "head, worker1 (" in problem and "; worker2 (" in problem
    # Neither can it add one, nor hide one.
    both = Path(shutil.copytree(copy, tmp_path / "both"))
    (both / "previous-ca.pem").write_text((tmp_path / "attacker/ca.pem").read_text())
    assert "The hosts trust different CAs" in only(reissue(tmp_path / "new", hosts_of(copy, worker2=both))[1])
    assert "The hosts trust different CAs" in only(reissue(tmp_path / "new", hosts_of(both, worker2=copy))[1])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("fault", ["nothing", "leaf", "other fingerprint", "no fingerprint"])
def test_host_with_an_unusable_ca_is_named(copy, tmp_path, fault):
    hosts = hosts_of(copy)
    about = hosts["worker1"]
    if fault == "nothing":
        about["public"] = {}
    elif fault == "leaf":
        about["public"]["ca"] = (copy / "client.pem").read_text()
        about["authorities"] = fingerprints(about["public"]["ca"])
    else:
        about["authorities"] = ["0" * 64] if fault == "other fingerprint" else []
    problem = only(reissue(tmp_path / "new", hosts)[1])
    assert problem.startswith("worker1: its ca.pem, below dask_home, is missing or is not") and "compromised" in problem


def test_reissue_during_a_rotation_keeps_both_cas(begun, tmp_path):
    source = Path(shutil.copytree(begun, tmp_path / "tls"))
    reissue(tmp_path / "new", hosts_of(source))
    directory = Directory(str(tmp_path / "new"))
    assert set(fingerprints(directory.trusted())) > set(fingerprints(Directory(str(source)).trusted()))
    assert len(directory.certificates("previous-ca")) == 2


def test_reissue_is_refused_where_nothing_is_lost(copy):
    before = tree(copy)
    wanted, problems = reissue(copy, hosts_of(copy))
    assert "has the CA of this cluster and its key, so nothing is lost" in only(problems) and "=authority" in only(
        problems
    )
    assert tree(copy) == before


def test_reissue_does_not_replace_the_ca_of_another_cluster(copy, tmp_path):
    make(tmp_path / "other")
    before = tree(tmp_path / "other")
    assert "has another CA" in only(reissue(tmp_path / "other", hosts_of(copy))[1])
    (tmp_path / "other/ca.key").unlink()
    assert "belongs to another cluster" in only(reissue(tmp_path / "other", hosts_of(copy))[1])
    assert tree(tmp_path / "other")["ca.pem"] == before["ca.pem"]
    make(tmp_path / "third")
    (tmp_path / "third/ca.pem").unlink()
    assert "ca.pem does not exist, but ca.key does" in only(reissue(tmp_path / "third", hosts_of(copy))[1])


def test_reissue_is_refused_with_a_ca_in_the_variable(copy):
    problem = only(plan_reissue(elsewhere(copy), hosts_of(copy), [])[1])
    assert "dask_tls_rotation is reissue, but the CA is in dask_tls_files" in problem


def test_reissue_is_refused_for_a_new_cluster(copy, tmp_path):
    assert "nothing to reissue" in only(reissue(tmp_path / "new", {})[1])


def test_lost_key_alone_is_enough_to_reissue(renewed, tmp_path):
    """The rest of the directory exists, also the cross-signed CA of an earlier rotation, which must not remain."""
    path = Path(shutil.copytree(renewed, tmp_path / "tls"))
    hosts = hosts_of(path)
    (path / "ca.key").unlink()
    assert "-e dask_tls_rotation=reissue" in only(plan(Directory(str(path)), needed(), hosts)[1])
    wanted, problems = reissue(path, hosts)
    assert problems == [] and len(fingerprints(wanted["previous"])) == 2 and Directory(str(path)).is_reissued
    assert second_phase(path, hosts) == []
    assert plan(Directory(str(path)), needed(), hosts)[:2] == (making.nothing(), [])


@pytest.mark.parametrize("rotation", ["", "certificates", "authority", "finish"])
def test_interrupted_reissue_must_be_completed_first(copy, tmp_path, rotation):
    """Otherwise hosts that do not trust the new CA yet would reject other hosts."""
    hosts, new = hosts_of(copy), tmp_path / "new"
    reissue(new, hosts)
    before = tree(new)
    problem = only(plan(Directory(str(new)), needed(), hosts, rotation)[1])
    assert "interrupted" in problem and "-e dask_tls_rotation=reissue" in problem
    # The second run makes no second CA, whether or not a host trusts the first one already.
    for again in (
        hosts,
        {**hosts, "head": {**hosts["head"], "authorities": fingerprints(Directory(str(new)).trusted())}},
    ):
        assert reissue(new, again) == (making.nothing(), [])
    assert tree(new) == before
    assert second_phase(new, hosts) == []
    # After the certificates are made, a further run only renews them.
    assert reissue(new, hosts) == (making.nothing(), []) and second_phase(new, hosts) == []
    assert tree(new)["ca.pem"] == before["ca.pem"]
    assert plan(Directory(str(new)), needed(), hosts, rotation)[1] == []


@pytest.mark.parametrize("step", range(1, 5))
def test_reissue_interrupted_while_it_writes_is_completed(copy, tmp_path, monkeypatch, step):
    hosts, new, calls = hosts_of(copy), tmp_path / "new", []

    def fail(source, target):
        calls.append(target)
        if len(calls) == step:
            raise KeyboardInterrupt
        os.rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            reissue(new, hosts)
    assert reissue(new, hosts) == (making.nothing(), [])
    assert second_phase(new, hosts) == []
    directory = Directory(str(new))
    assert directory.is_reissued and directory.read("previous-ca.pem") == (copy / "ca.pem").read_text()
    assert [directory.check(worker_name(host)) for host in ("worker1", "worker2")] == ["", ""]
