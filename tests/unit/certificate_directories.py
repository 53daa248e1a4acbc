# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of certificates: made as the collection does, and a user's own. Defines fixtures."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils import certificates as making
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    DAY,
    Directory,
    plan,
    worker_name,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.handshakes import (
    Rejected,
    context,
    handshake,
    own_problems,
)
from cluster_settings import ROLE_DEFAULTS
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

ROOT = Path(__file__).parents[2]


# Makes certificates in a separate process, as a run does.
MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, make, plan
directory = Directory(sys.argv[2])
names = {"client": ["client"], "scheduler": ["head", "127.0.0.1", "localhost"]}
names.update({f"workers/worker{number}": [f"worker{number}", "localhost"] for number in (1, 2)})
with directory.locked(write=True):
    wanted, problems, warnings = plan(directory, names)
    if wanted["authority"]:
        make(directory, wanted, names, 365)
        directory.commit()
"""


LOOKED = {
    "address": "",
    "authorities": [],
    "certificates": {"installed": {}, "loaded": {}, "current": {}, "public": {}},
    "clock": [-0.1, 0.1],
    "current": {},
    "environments": {},
    "firewall": {"installed": []},
    "python": {"version": "3.13.0"},
    "running": {},
    "versions": [],
    "worker_addresses": {},
}


PLAYBOOK = [
    {
        "hosts": "dask_scheduler:dask_workers",
        "gather_facts": False,
        "strategy": "ansible.builtin.linear",
        "tasks": [
            {"ansible.builtin.set_fact": {"__dask_host": "{{ looked }}"}},
            {"daskops.cluster.plan": {"purpose": "inspect"}, "run_once": True, "register": "__dask_plan"},
            {"ansible.builtin.import_role": {"name": "daskops.cluster.tls", "tasks_from": "make"}},
        ],
    }
]


INVENTORY = {
    "dask_scheduler": {"hosts": {"head": {"ansible_host": "127.0.0.1"}}},
    "dask_workers": {"hosts": {"worker1": {"ansible_host": "FD00::1"}, "worker2": {}}},
}


GROUPS = {group: list(about["hosts"]) for group, about in INVENTORY.items()}


#: The host in the URL of the dashboard, and its variable.
DASHBOARD = {"head": "dask_scheduler_host"}


WORKERS = [worker_name("worker1"), worker_name("worker2")]


def run(
    directory, *arguments, inventory=INVENTORY, environment=None, playbook=PLAYBOOK, python=sys.executable, **variables
):
    """Run the role's task as site.yml does."""
    work = directory.parent
    (work / "hosts.json").write_text(json.dumps({"all": {"vars": ROLE_DEFAULTS}, **inventory}))
    (work / "playbook.yml").write_text(yaml.safe_dump(playbook))
    given = json.dumps({"dask_tls_directory": str(directory), "looked": LOOKED, **variables})
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(work / "tmp")}
    return subprocess.run(
        [python, "-m", "ansible", "playbook", "-i", "hosts.json", "playbook.yml", "-e", given, *arguments],
        cwd=work,
        env={**os.environ, **settings, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def changes(done):
    """Return the number of changed tasks of a successful run."""
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(int(line.split("changed=")[1].split()[0]) for line in done.stdout.splitlines() if "changed=" in line)


def needed(*hosts, reached=()):
    """Return the names and addresses that `plan` gets for a cluster with a scheduler and these worker hosts."""
    names = {"client": ["client"], "scheduler": ["head", "127.0.0.1", "localhost", *reached]}
    return {**names, **{worker_name(host): [host, "localhost"] for host in hosts or ["worker1", "worker2"]}}


def make(path, rotation="", names=None, days=365, warn_days=30, now=None, **arguments):
    """Make the certificates that `plan` returns, as the action plugin does; return the plan and its warnings."""
    directory = Directory(str(path))
    with directory.locked(write=True):
        wanted, problems, warnings = plan(
            directory, names or needed(), rotation=rotation, days=days, warn_days=warn_days, now=now, **arguments
        )
        assert problems == []
        if wanted["authority"] or wanted["certificates"]:
            making.make(directory, wanted, names or needed(), days, now)
        directory.commit(["cross-ca.pem", "previous-ca.pem"] if wanted["finish"] else [])
    return {**wanted, "warnings": warnings}


def look(path, rotation="", names=None, **arguments):
    """Return the result of `plan` for a directory."""
    return plan(Directory(str(path)), names or needed(), rotation=rotation, **arguments)


def nothing(path, names=None, **arguments):
    """Assert that no certificate is planned, and return the problems."""
    wanted, problems, dummy = look(path, names=names, **arguments)
    assert wanted == making.nothing()
    return problems


def tree(path):
    """Return the contents of all files below a directory by path, without the lock file."""
    return {
        str(one.relative_to(path)): one.read_text() for one in path.rglob("*") if one.is_file() and one.name != ".lock"
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return a directory with the certificates of a cluster. Tests must not change it."""
    directory = tmp_path_factory.mktemp("certificates") / "tls"
    make(directory)
    return directory


@pytest.fixture
def copy(made, tmp_path):
    """Return a copy of the certificates that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "tls"))


def stage(directory, tmp_path_factory, *arguments, **variables):
    """Return a copy of the directory after one more run."""
    where = tmp_path_factory.mktemp("certificates") / "tls"
    shutil.copytree(directory, where)
    make(where, *arguments, **variables)
    return where


@pytest.fixture(scope="session")
def begun(made, tmp_path_factory):
    """Return a directory with a new CA that has signed no certificate yet."""
    return stage(made, tmp_path_factory, "authority")


@pytest.fixture(scope="session")
def renewed(begun, tmp_path_factory):
    """Return a directory whose certificates are signed by the new CA while the old CA is still trusted."""
    return stage(begun, tmp_path_factory, "certificates", days=40)


PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


class Own:
    """A directory with a user's own CA and certificates. Keyword arguments change the properties of single certificates."""

    def __init__(self, path, **unusual):
        self.path = path
        self.path.mkdir(parents=True)
        self.unusual = unusual
        self.key_of_ca = self.key("ca")
        self.ca = self.certificate("ca", self.key_of_ca, None, self.key_of_ca)
        self.chain = []
        (path / "ca.pem").write_bytes(self.pem(self.ca))
        for name in ("scheduler", "worker", "client"):
            key = self.key(name)
            self.write(name, key, self.certificate(name, key, self.ca, self.key_of_ca))

    def key(self, name):
        kind = self.unusual.get(name, {}).get("key", "ec")
        if kind.startswith("rsa"):
            return rsa.generate_private_key(65537, int(kind[3:]))
        kinds = {"ed25519": ed25519.Ed25519PrivateKey.generate, "dsa": lambda: dsa.generate_private_key(2048)}
        return kinds.get(kind, lambda: ec.generate_private_key(ec.SECP256R1()))()

    def certificate(self, name, key, issuer, issuer_key, kind=None):
        about = self.unusual.get(name, {})
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"own {name}")])
        start = time.time() + about.get("start", -2) * DAY
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        moments = [making.datetime.datetime.fromtimestamp(at, making.datetime.timezone.utc)
                   for at in (start, time.time() + about.get("days", 300) * DAY)]  # fmt: skip
        builder = builder.not_valid_before(moments[0]).not_valid_after(moments[1])
        usages = about.get("usages", ["CLIENT_AUTH"] + ["SERVER_AUTH"] * (name != "client"))
        is_ca = about.get("ca", (kind or name) == "ca")
        if is_ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(is_ca, None), True)
        if (kind or name) == "ca":
            identity = x509.SubjectKeyIdentifier(b"counted in another way")
            builder = builder.add_extension(identity, False)
            if "keyCertSign" in about.get("keyUsage", "keyCertSign"):
                builder = builder.add_extension(making.key_usage(key_cert_sign=True), True)
            else:
                builder = builder.add_extension(making.key_usage(digital_signature=True), True)
        else:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([getattr(x509.ExtendedKeyUsageOID, usage) for usage in usages]), False
            )
            identity = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            identity = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity)
            if not about.get("loose"):
                builder = builder.add_extension(identity, False)
            names = [x509.DNSName(host) for host in about.get("hosts", ["head", "localhost"])]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())

    def pem(self, certificate):
        return certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, name, key, *chain, password=None):
        (self.path / f"{name}.pem").write_bytes(b"".join(map(self.pem, chain)))
        protection = serialization.BestAvailableEncryption(password) if password else PLAIN[2]
        form = *PLAIN[:2], protection
        (self.path / f"{name}.key").write_bytes(key.private_bytes(*form))

    def sign_with_sha1(self, name):
        (self.path / "ca.key").write_bytes(self.key_of_ca.private_bytes(*PLAIN))
        for command in (
            f"req -new -subj /CN=own -key {name}.key -out request",
            f"x509 -req -sha1 -days 9 -in request -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem",
        ):
            subprocess.run(["openssl", *command.split()], cwd=self.path, capture_output=True, check=True)

    def problems(self, joins=False, hosts=None, dashboard=None, **arguments):
        dashboard = DASHBOARD if dashboard is None else dashboard
        return own_problems(Directory(str(self.path)), joins, hosts or {}, dashboard, **arguments)[0]


def accepts(server, client):
    """Return why a handshake between a directory's scheduler and another directory's worker fails, or an empty string."""
    sides = []
    for path, name, purpose in ((server, "scheduler", "CLIENT_AUTH"), (client, WORKERS[0], "SERVER_AUTH")):
        directory = Directory(str(path))
        (path / "trusted").write_text(directory.trusted())
        (path / "bundle").write_text(directory.bundle(name))
        sides.append(context(getattr(ssl.Purpose, purpose), str(path / "trusted"), str(path / "bundle")))
    try:
        handshake(*sides)
    except Rejected as failure:
        return str(failure)
    return ""
