# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, renewing and validating certificates, and real servers that reload them while they run."""

import fcntl
import getpass
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    digest,
    fingerprints,
    installed_files,
    loaded_certificates,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils import certificates as making
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    DAY,
    Directory,
    Unusable,
    exposed,
    has_certificates,
    plan,
    worker_name,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.handshakes import (
    own_problems,
    rejected,
)
from certificate_directories import DASHBOARD, MAKE, ROOT, WORKERS, Own, accepts, look, make, needed, nothing, tree
from conftest import scheduler, wait_until, worker
from distributed import Client
from distributed.security import Security
from sentences import only


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Return the certificates of another cluster."""
    directory = tmp_path_factory.mktemp("stranger") / "tls"
    make(directory, names=needed("worker1"))
    return directory


# Making certificates


def test_concurrent_controllers_share_one_ca(tmp_path):
    program = MAKE + "print(wanted['authority'])\n"
    arguments = [sys.executable, "-c", program, str(ROOT / ".collections"), str(tmp_path / "tls")]
    started = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for dummy in range(3)]
    assert sorted(process.communicate()[0] for process in started) == ["False\n", "False\n", "True\n"]
    assert nothing(tmp_path / "tls") == []


def test_waiting_for_the_lock_has_a_limit(copy):
    with open(copy / ".lock", "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unusable) as error, Directory(str(copy)).locked(write=True, patience=0.3):
            pass
        assert f"{copy}/.lock is locked by process {os.getpid()}" in str(error.value)
        assert "another run that makes certificates" in str(error.value)


def test_certificates_are_readable_by_the_owner_only(made):
    assert {path.stat().st_mode & 0o777 for path in [made, made / "workers"]} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made.rglob("*") if path.is_file()} == {0o600}


def test_names_not_allowed_in_certificates_are_left_out(tmp_path):
    strange = ["my host", "a/b", "..", "x" * 300, "b\u00fccher.example", "fe80::1%eth0", "10.0.0.1"]
    names = {"client": ["client"], **{worker_name(name): [name] for name in strange if len(name) < 200}}
    make(tmp_path / "tls", names=names)
    found = set().union(*(Directory(str(tmp_path / "tls")).hosts(name) for name in names))
    assert found == {"client", "xn--bcher-kva.example", "fe80::1", "10.0.0.1"}
    assert nothing(tmp_path / "tls", names=names) == []
    assert {path.parent.name for path in (tmp_path / "tls").rglob("*.pem")} == {"tls", "workers"}


def test_validity_begins_one_day_before_creation(made, begun):
    for path, names in ((made, ["ca", "scheduler", "client", *WORKERS]), (begun, ["ca", "cross-ca"])):
        for name in names:
            assert abs(time.time() - DAY - Directory(str(path)).begins(name)) < 300


def test_certificate_of_a_worker_stays_small_with_3000_hosts(tmp_path):
    """A certificate that names all hosts has 156 kB, and OpenSSL accepts no chain above 100 kB."""
    hosts = [f"node{number:04}.cluster.example.org" for number in range(3000)]
    names, tried = needed(*hosts), ["scheduler", "client", worker_name(hosts[0]), worker_name(hosts[-1])]
    directory = Directory(str(tmp_path / "tls"))
    wanted, dummy, dummy = plan(directory, names)
    assert set(wanted["certificates"]) == set(names)
    # Four of them are enough here: each takes 0.6 ms on an idle machine.
    wanted["certificates"] = {name: wanted["certificates"][name] for name in tried}
    making.make(directory, wanted, names, 365)
    assert max(len(directory.bundle(name)) for name in tried) < 2000
    assert rejected(directory, tried, DASHBOARD) == []


@pytest.mark.parametrize("name", ["scheduler", "client", *WORKERS])
def test_missing_certificate_is_made(copy, name):
    (copy / f"{name}.key").unlink()
    assert look(copy)[0]["certificates"] == {name: "missing"}


def test_certificate_with_another_key_is_made_again(copy):
    shutil.copy(copy / "client.key", copy / "scheduler.key")
    assert look(copy)[0]["certificates"] == {"scheduler": "not made for its .key"}


def test_certificate_signed_by_another_ca_is_made_again(copy, stranger):
    for kind in ("pem", "key"):
        shutil.copy(stranger / f"client.{kind}", copy / f"client.{kind}")
    assert look(copy)[0]["certificates"] == {"client": "not signed by the CA in ca.pem"}


def test_host_with_a_new_address_gets_a_new_certificate(copy):
    assert look(copy, names=needed(reached=["10.1.1.1"]))[0]["certificates"] == {"scheduler": "not for 10.1.1.1"}
    assert nothing(copy, names=needed(reached=["HEAD", "127.0.0.1"])) == []


def test_limited_run_keeps_certificates_of_other_hosts(copy):
    before = tree(copy)
    make(copy, "certificates", names=needed("worker1"))
    after = tree(copy)
    assert {name for name in after if after[name] != before[name]} == {
        f"{name}.{kind}" for name in ("client", "scheduler", WORKERS[0]) for kind in ("pem", "key")
    }
    assert rejected(Directory(str(copy)), ["scheduler", "client", *WORKERS]) == []


def test_ca_made_by_another_program_can_sign(tmp_path):
    """Other programs may compute the key identifier differently."""
    own = Own(tmp_path / "tls")
    for path in [*(tmp_path / "tls").iterdir()]:
        if path.stem != "ca":
            path.unlink()
    own.write("ca", own.key_of_ca, own.ca)
    make(tmp_path / "tls")
    assert rejected(Directory(str(tmp_path / "tls")), ["scheduler", "client", *WORKERS], DASHBOARD, strict=True) == []


# Renewal


def test_renewal_follows_dask_tls_warn_days(copy):
    assert set(look(copy, days=400, warn_days=366)[0]["certificates"]) == set(needed())
    assert nothing(copy, days=400, warn_days=360) == []


def test_expired_certificate_is_renewed(tmp_path):
    make(tmp_path / "tls", now=time.time() - 400 * DAY)
    made = make(tmp_path / "tls")
    assert set(made["certificates"]) == set(needed()) and not made["authority"]
    assert made["certificates"]["client"].startswith("expired on ")
    assert rejected(Directory(str(tmp_path / "tls")), list(needed()), DASHBOARD) == []


def test_certificate_not_yet_valid_is_renewed(tmp_path):
    """This happens if the controller's clock was ahead when it made the certificate."""
    make(tmp_path / "tls")
    make(tmp_path / "tls", "certificates", now=time.time() + 3 * DAY)
    assert make(tmp_path / "tls")["certificates"]["client"].startswith("not valid before")


def test_ca_that_expires_soon_is_replaced_and_trusted_until_its_end(tmp_path):
    now = time.time()
    made = tmp_path / "tls"
    make(made, now=now - 3600 * DAY)
    make(made, now=now - 30 * DAY)  # no certificate outlives the CA
    old = shutil.copytree(made, tmp_path / "old")
    assert Directory(str(made)).expires("client") <= Directory(str(made)).expires("ca")
    wanted = make(made, now=now)
    assert wanted["authority"] and "so the run makes a new CA" in only(wanted["warnings"])
    # Services with the old files and services with the new files accept each other.
    for server, client in ((made, old), (old, made)):
        assert accepts(server, client) == ""
    assert make(made, now=now)["certificates"] == {}
    # The previous CA is removed after it expired.
    later = now + 100 * DAY
    make(made, now=later)
    assert make(made, now=later)["finish"] and not (made / "previous-ca.pem").exists()
    assert make(made, now=later) == {**making.nothing(), "warnings": []}


def test_ca_made_by_another_program_is_not_replaced(tmp_path):
    own = Own(tmp_path / "tls", ca={"days": 40})
    own.write("ca", own.key_of_ca, own.ca)
    wanted, problems, warnings = look(tmp_path / "tls")
    assert not wanted["authority"] and not problems
    assert "The collection did not make it. Replace it, or let" in only(warnings)


def test_longest_allowed_periods_do_not_renew_at_every_run(tmp_path):
    """3650 and 900 days are the maximum values of the variables. Test them with CAs of several ages."""
    now, longest = time.time(), {"days": 3650, "warn_days": 900}
    for age in (3600, 1900, 1801, 1799, 1000, 0):
        make(tmp_path / "tls", now=now - age * DAY, **longest)
        assert make(tmp_path / "tls", now=now - age * DAY, **longest) == {**making.nothing(), "warnings": []}


def test_days_not_above_warn_days_are_rejected(copy):
    problem = only(nothing(copy, days=30, warn_days=30))
    assert "dask_tls_days is 30, and dask_tls_warn_days is 30, so every run would renew" in problem


# Interrupted runs, and directories that cannot be used


@pytest.mark.parametrize(
    ("rotation", "step"),
    [("authority", "open"), ("authority", "rename"), ("authority", "replace"), ("certificates", "replace")],
)
def test_interrupted_run_leaves_a_consistent_directory(copy, monkeypatch, rotation, step):
    before = tree(copy)
    for count in range(1, 40):
        calls, real = [], getattr(os, step)

        def fail(*arguments, calls=calls, real=real, count=count, **options):
            calls.append(arguments)
            if len(calls) == count and (step != "open" or not str(arguments[0]).endswith(".lock")):
                raise KeyboardInterrupt
            return real(*arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(os, step, fail)
            try:
                make(copy, rotation)
            except KeyboardInterrupt:
                pass
            else:
                if len(calls) < count:
                    break
        directory = Directory(str(copy))
        assert directory.matches("ca") and rejected(directory, list(needed()), DASHBOARD) == []
        # The next run completes the interrupted one and finds nothing to make.
        assert make(copy) == {**making.nothing(), "warnings": []}
        directory = Directory(str(copy))
        assert rejected(directory, list(needed()), DASHBOARD) == []
        assert not {".new", ".ready"} & set(os.listdir(copy))
    else:
        pytest.fail("every attempt was interrupted")
    assert tree(copy) != before


def test_unwritable_directory_is_rejected(copy, tmp_path):
    """A file in place of the parent directory makes it unwritable for root, too."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable) as error, Directory(str(tmp_path / "file/tls")).locked(write=True):
        pass
    assert f"{tmp_path}/file/tls cannot be written to: Not a directory. Let the account" in str(error.value)


def test_directory_without_a_lock_file_is_read(copy):
    (copy / ".lock").unlink()
    with Directory(str(copy)).locked(write=False):
        assert nothing(copy) == []
    assert not (copy / ".lock").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_world_writable_directory_is_rejected(copy, mode):
    copy.chmod(mode)
    if mode == 0o777:
        problem = only(nothing(copy))
        assert f"{copy} is not safe for keys: every local user can write to {copy}. Remove that" in problem
    copy.chmod(0o700)
    (copy.parent / "open").mkdir()
    (copy.parent / "open").chmod(mode)
    inside = copy.rename(copy.parent / "open/tls")
    assert bool(exposed(str(inside))) == (mode == 0o777)
    link = copy.parent / "link"
    link.symlink_to(inside)
    assert bool(exposed(str(link))) == (mode == 0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_directory_of_another_user_in_a_shared_directory_is_rejected(copy):
    (copy.parent / "open").mkdir()
    (copy.parent / "open").chmod(0o1777)
    inside = copy.rename(copy.parent / "open/tls")
    os.chown(inside, 65534, -1)
    assert f"{inside} belongs to another user" in only(nothing(inside))


def test_world_readable_keys_cause_a_warning(made):
    """The test needs a directory that other users can enter, which tmp_path is not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        copy = Path(shutil.copytree(made, Path(place) / "tls"))
        (copy / "ca.key").chmod(0o644)
        (copy / "client.key").chmod(0o644)
        assert look(copy)[1:] == ([], [])  # the directory itself is closed to others
        copy.chmod(0o755)
        problems, warnings = look(copy)[1:]
        assert problems == [] and only(warnings).endswith(
            f"(ca.key, client.key), and with them use the cluster. Run chmod -R go= {copy}"
        )
        for kind in ("pem", "key"):
            shutil.copy(copy / f"{WORKERS[0]}.{kind}", copy / f"worker.{kind}")
        assert "(client.key)" in only(own_problems(Directory(str(copy)), False, {}, DASHBOARD)[1])


def test_ca_without_its_key_is_rejected(copy):
    (copy / "ca.key").unlink()
    problem = only(nothing(copy))
    assert "ca.key does not exist, but ca.pem does" in problem and "dask_tls_certificates" in problem


def test_ca_with_another_key_is_rejected(copy, stranger):
    shutil.copy(stranger / "ca.key", copy / "ca.key")
    assert "ca.key is not the key of ca.pem. Restore both" in only(nothing(copy))


def test_leaf_certificate_as_ca_is_rejected(copy):
    for kind in ("pem", "key"):
        shutil.copy(copy / f"client.{kind}", copy / f"ca.{kind}")
    assert "ca.pem is not the certificate of a CA (basic constraints without CA:TRUE)" in only(nothing(copy))


def test_ca_not_yet_valid_is_rejected(tmp_path):
    make(tmp_path / "tls", now=time.time() + 2 * DAY)
    assert "ca.pem is not valid before" in only(nothing(tmp_path / "tls"))


def test_ca_that_differs_from_a_hosts_ca_is_rejected(copy):
    known = fingerprints((copy / "ca.pem").read_text())
    hosts = {"host1": {"authorities": known}, "host2": {"authorities": []}}
    assert nothing(copy, hosts=hosts) == []
    problem = only(nothing(copy, hosts={**hosts, "host2": {"authorities": ["0" * 64]}}))
    assert problem.startswith("host2: the host trusts the CA of an existing cluster") and "has another CA" in problem
    # The message for a controller without the directory has the three ways out.
    problem = only(look(copy.parent / "new", hosts=hosts)[1])
    assert f"{copy.parent}/new does not exist" in problem
    for way in (
        "correct dask_tls_directory",
        "copy the directory",
        "set dask_tls_files",
        "-e dask_tls_rotation=reissue",
    ):
        assert way in problem


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("client.pem", b"nonsense\n", "client.pem contains no certificate in PEM format. Replace it"),
        ("client.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "that cannot be read ("),
        ("ca.pem", b"\x30\x82\xff\xfe", "ca.pem is not a text file. Convert it to PEM"),
        ("scheduler.key", b"nonsense\n", "scheduler.key cannot be used ("),
        ("scheduler.key", None, "scheduler.key is not a file. Replace it"),
    ],
    ids=["no certificate", "broken certificate", "DER", "no key", "directory"],
)
@pytest.mark.parametrize("whose", ["made", "own"])
def test_unusable_file_is_one_problem(copy, name, content, said, whose):
    for kind in ("pem", "key"):  # the file name of your own worker certificate
        shutil.copy(copy / f"{WORKERS[0]}.{kind}", copy / f"worker.{kind}")
    (copy / name).unlink()
    (copy / name).write_bytes(content) if content else (copy / name).mkdir()
    problems = []
    try:  # the action plugin catches Unusable as well
        problems = look(copy)[1] if whose == "made" else own_problems(Directory(str(copy)), False, {}, DASHBOARD)[0]
    except Unusable as error:
        problems.append(str(error))
    assert said in only(problems)


@pytest.mark.parametrize("name", ["ca", "previous-ca"])
@pytest.mark.parametrize("whose", ["made", "own"])
def test_key_in_a_file_that_every_account_can_read_is_rejected(copy, name, whose):
    shutil.copy(copy / f"{WORKERS[0]}.pem", copy / "worker.pem")
    key = (copy / "ca.key").read_text()
    (copy / f"{name}.pem").write_text((copy / "ca.pem").read_text() + key)
    with pytest.raises(Unusable) as caught:
        look(copy) if whose == "made" else own_problems(Directory(str(copy)), False, {}, DASHBOARD)
    assert str(caught.value) == (
        f"{copy}/{name}.pem contains a private key, and every account of a host can read the file. Move the key to ca.key."
    )
    assert key.splitlines()[1] not in str(caught.value)


def test_only_certificates_of_a_ca_are_trusted(copy):
    """A role without the check installs the file, too."""
    only_certificates, key = (copy / "ca.pem").read_text(), (copy / "ca.key").read_text()
    (copy / "ca.pem").write_text(f"The CA of ada\n{only_certificates}{key}")
    (copy / "previous-ca.pem").write_text(key + only_certificates.rstrip())
    assert Directory(str(copy)).trusted() == only_certificates * 2


ROTATE = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, make, nothing, plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.handshakes import own_problems, rejected

directory = Directory(sys.argv[2])
names = {"client": ["client"], "scheduler": ["head", "10.0.0.1"], "workers/a": ["a"]}
for rotation in ("", "authority", "certificates", "finish"):
    wanted, problems, warnings = plan(directory, names, {}, rotation)
    assert wanted != nothing() and not problems and not warnings
    if not wanted["finish"]:
        make(directory, wanted, names, 365)
    with directory.locked(write=True):
        directory.commit(["cross-ca.pem", "previous-ca.pem"] if wanted["finish"] else [])
    assert rejected(directory, list(names), {"head": "dask_scheduler_host"}) == []
assert plan(directory, names) == (nothing(), [], [])
print(sorted(directory.hosts("scheduler")), own_problems(Directory(sys.argv[3]), False, {}, {"head": "dask_scheduler_host"}))
"""


@pytest.mark.parametrize("version", ["3.4.8", "38.0.4", "41.0.7"])
def test_old_cryptography_is_supported(tmp_path, version):
    """Ubuntu 22.04, Debian 12 and Ubuntu 24.04 have these versions. cryptography 42 deprecates names that they need."""
    own = Own(tmp_path / "own")
    command = ["uv", "run", "--isolated", "--no-project", "--quiet", "--with", f"cryptography=={version}", "python"]
    arguments = [str(ROOT / ".collections"), str(tmp_path / "tls"), str(own.path)]
    done = subprocess.run([*command, "-c", ROTATE, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "['10.0.0.1', 'head'] ([], [])\n"), done.stderr


# Clocks of hosts


@pytest.mark.parametrize(
    ("seconds", "fine"), [(0, True), (-600, True), (-86000, True), (-90000, False), (366 * DAY, False), (90000, True)]
)
def test_certificate_not_valid_at_a_hosts_clock_is_rejected(copy, seconds, fine):
    hosts = {"worker1": {"clock": [seconds - 1, seconds + 1], "certificates": [WORKERS[0]]}}
    for path in (copy, copy.parent / "new"):  # existing certificates, and certificates that the run would make
        problems = look(path, hosts=hosts)[1]
        assert bool(problems) is not fine
        if problems:
            problem = only(problems)
            assert problem.startswith("worker1: its clock is") and "Synchronize the clock of the host" in problem


# CA rotation


def test_ca_rotation_steps(made, begun, renewed):
    old = fingerprints((made / "ca.pem").read_text())
    both = fingerprints(Directory(str(begun)).trusted())
    assert len(both) == 2 and old[0] in both
    # After the first step: site.yml makes nothing, no third CA is made, and the rotation cannot be finished yet.
    assert nothing(begun, hosts={"host1": {"authorities": old}}) == []
    assert look(begun, "authority")[0]["authority"] is False
    assert "signed by the previous CA" in look(begun, "finish")[1][0]
    assert nothing(renewed) == []
    assert look(renewed, "finish")[:2] == ({**making.nothing(), "finish": True}, [])
    assert look(renewed, "authority")[0]["authority"] is True


def test_previous_ca_is_kept_for_hosts_outside_the_run(begun, tmp_path):
    where = Path(shutil.copytree(begun, tmp_path / "tls"))
    make(where, "certificates", names=needed("worker1"))
    problem = only(look(where, "finish", names=needed("worker1"), others=[WORKERS[1]])[1])
    assert f"{WORKERS[1]}.pem is signed by the previous CA" in problem and "for all hosts" in problem


# Servers


def install(directory, where):
    """Write the files as the module `install_certificates` does on a host."""
    source = Directory(str(directory))
    where.mkdir(exist_ok=True)
    texts = {"ca": source.trusted(), "scheduler": source.bundle("scheduler"), "worker": source.bundle(WORKERS[0])}
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
    """Return whether a client with the directory's certificate can compute."""
    try:
        with Client(address, security=security(directory), set_as_default=False, timeout=5) as client:
            return client.submit(sum, (1, 2), pure=False).result(60) == 3
    except OSError:
        return False


def get(url, directory):
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        return response.read()


def summary(url, directory):
    return json.loads(get(f"{url}/daskops/summary.json", directory))


@pytest.fixture
def seen(made, tmp_path):
    """Return a host's certificates as `host_info` reports them, and the certificates to install."""
    directory = Directory(str(made))
    texts = {"authorities": directory.trusted(), "certificates": {"worker": directory.bundle(WORKERS[0])}}
    tls = tmp_path / "tls"
    tls.mkdir()
    (tls / "ca.pem").write_text(texts["authorities"])
    (tls / "worker.pem").write_text(texts["certificates"]["worker"])
    (tls / "ca.pem").chmod(0o644)
    (tls / "worker.pem").chmod(0o400)
    # The worker's status in systemd.
    status = f"tcp://x (certificates {digest(texts['authorities'], texts['certificates']['worker'])})"
    states = {"dask-worker@1.service": {"ActiveState": "active", "StatusText": status}}
    found = {"installed": installed_files(str(tls)), "loaded": loaded_certificates(states)}
    return tls, states, found, {"user": getpass.getuser(), **texts}


def test_host_with_current_certificates_runs_no_module(seen):
    dummy, dummy, found, wanted = seen
    assert found["loaded"] and has_certificates(found, **wanted)


@pytest.mark.parametrize("fault", ["content", "mode", "owner", "missing", "left over", "not read yet"])
def test_host_with_other_certificates_runs_the_module(seen, fault):
    tls, states, found, wanted = seen
    if fault == "content":
        (tls / "ca.pem").write_text("another")
    elif fault == "mode":
        (tls / "worker.pem").chmod(0o444)
    elif fault == "owner":
        wanted["user"] = "another user"
    elif fault == "missing":
        (tls / "worker.pem").unlink()
    elif fault == "left over":
        (tls / "scheduler.pem").write_text("of a scheduler that has gone")
    else:
        states["dask-worker@1.service"]["StatusText"] = "tcp://x (certificates 000000000000)"
    found = {**found, "installed": installed_files(str(tls)), "loaded": loaded_certificates(states)}
    assert not has_certificates(found, **wanted)


@pytest.mark.parametrize("nanny", [False, True])
def test_servers_reload_certificates_while_they_run(made, begun, renewed, tmp_path, nanny):
    def columns(dask_scheduler):
        """Return the runtime's columns in the dashboard's workers table."""
        from distributed.dashboard.components.scheduler import WorkerTable

        return [name for name in WorkerTable(dask_scheduler).extra_names if name.startswith("daskops")]

    where = tmp_path / "installed"
    install(made, where)
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:
        url = started.url.replace("http", "https")
        preload = ["--preload-nanny", "daskops_runtime.nanny"] if nanny else []
        with worker(started, "w", *preload, nanny=nanny, runtime=True, settings=settings(where, "worker")) as process:
            assert computes(started.address, made)
            told = summary(url, made)
            assert told["workers"][0]["certificate_expires"] == Directory(str(made)).expires(WORKERS[0])
            assert told["scheduler"]["certificate_expires"] == Directory(str(made)).expires("scheduler")
            text = get(f"{url}/metrics", made).decode()
            expires = re.search(r"^daskops_certificate_not_after_timestamp_seconds (\S+)$", text, re.MULTILINE)[1]
            assert float(expires) == Directory(str(made)).expires("scheduler")
            pids = started.process.pid, told["workers"][0]["pid"]
            with Client(started.address, security=security(made), set_as_default=False, timeout=10) as client:
                assert client.run_on_scheduler(columns) == []  # the table would show meaningless totals of them

            def switch(directory):
                install(directory, where)
                for running in (started.process, process):
                    running.send_signal(signal.SIGHUP)

            with Client(started.address, security=security(made), set_as_default=False, timeout=10) as client:
                future = client.submit(time.sleep, 1)
                kept = client.scatter([b"kept"])
                switch(begun)
                switch(renewed)
                # Old and new certificates are both accepted.
                wait_until(lambda: computes(started.address, renewed), interval=0.5)
                assert computes(started.address, begun) and computes(started.address, made)
                finished = Path(shutil.copytree(renewed, tmp_path / "finished"))
                for name in ("previous-ca.pem", "cross-ca.pem"):
                    (finished / name).unlink()
                switch(finished)
                wait_until(lambda: not computes(started.address, begun), interval=0.5)
                assert computes(started.address, finished)
                assert future.result(20) is None and client.gather(kept) == [b"kept"]
            expires = Directory(str(finished)).expires(WORKERS[0])
            wait_until(lambda: summary(url, finished)["workers"][0]["certificate_expires"] == expires)
            assert (started.process.pid, summary(url, finished)["workers"][0]["pid"]) == pids
            with pytest.raises(urllib.error.URLError):
                summary(url, made)


def test_server_with_an_expired_certificate_works_again_after_its_renewal(tmp_path):
    make(tmp_path / "tls", now=time.time() - 400 * DAY)
    where = tmp_path / "installed"
    install(tmp_path / "tls", where)
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:

        def connects():
            try:
                with Client(started.address, security=security(tmp_path / "tls"), set_as_default=False, timeout=3):
                    return True
            except OSError:
                return False

        assert not connects()
        assert make(tmp_path / "tls")["certificates"]["scheduler"].startswith("expired on")
        install(tmp_path / "tls", where)
        started.process.send_signal(signal.SIGHUP)
        wait_until(connects)


def test_unreadable_files_keep_the_loaded_certificates(copy, tmp_path):
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


def test_status_contains_the_digest_of_the_loaded_certificates(copy, tmp_path, notify):
    where = tmp_path / "installed"
    texts = install(copy, where)
    variables = {"NOTIFY_SOCKET": notify.path}
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler"), **variables) as started:
        (ready,) = notify.wait_for("READY=1")
        loaded = digest(texts["ca"], texts["scheduler"])
        assert f"STATUS=Scheduler {started.address} running, certificates {loaded}" in ready[1]


def test_status_is_updated_at_once_after_a_reload(copy, renewed, tmp_path, notify):
    """A run waits for the new status, so it must not wait for the next watchdog message."""
    where = tmp_path / "installed"
    install(copy, where)
    variables = {"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": str(300 * 1_000_000)}
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler"), **variables) as started:
        notify.wait_for("READY=1")
        texts = install(renewed, where)
        started.process.send_signal(signal.SIGHUP)
        loaded = digest(texts["ca"], texts["scheduler"])
        notify.wait_for(f"STATUS=Scheduler {started.address} running, certificates {loaded}")


def test_scheduler_knows_the_expiry_when_a_worker_reports_its_new_certificates(copy, renewed, tmp_path, notify):
    """A run waits for the new status, and then asks the scheduler when certificates expire."""

    def end_heartbeats(dask_worker):
        dask_worker.periodic_callbacks["heartbeat"].callback = lambda: None

    where = tmp_path / "installed"
    install(copy, where)
    expires = Directory(str(renewed)).expires(WORKERS[0])
    assert expires != Directory(str(copy)).expires(WORKERS[0])
    variables = {"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": "100000"}  # each watchdog message has the status, too
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:
        with worker(started, "w", runtime=True, settings=settings(where, "worker"), **variables) as process:
            notify.wait_for("READY=1")
            with Client(started.address, security=security(copy), set_as_default=False, timeout=10) as client:
                client.run(end_heartbeats)
            texts = install(renewed, where)
            process.send_signal(signal.SIGHUP)
            loaded = digest(texts["ca"], texts["worker"])
            wait_until(
                lambda: any(line.endswith(f", certificates {loaded}") for _, lines in notify.read() for line in lines)
            )
            url = started.url.replace("http", "https")
            assert summary(url, copy)["workers"][0]["certificate_expires"] == expires


def test_client_without_a_certificate_of_the_cluster_is_rejected(copy, stranger, tmp_path):
    where = tmp_path / "installed"
    install(copy, where)
    with scheduler(tmp_path, runtime=True, settings=settings(where, "scheduler")) as started:
        assert not computes(started.address, stranger)
        with pytest.raises(OSError):
            Client(started.address.replace("tls://", "tcp://"), set_as_default=False, timeout=3)
        with Client(started.address, security=security(copy), set_as_default=False, timeout=10):
            pass
