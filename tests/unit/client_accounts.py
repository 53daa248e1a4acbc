# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of clients: their certificates, and the module that installs their files. Defines fixtures."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.modules import client_bundle
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parents[2]


PRELOAD = ROOT / "roles/client/files/daskops_client.py"


LOCK = "distributed==2026.8.0 --hash=sha256:0\n"


EARLIER = f"{client_bundle.HEADER} Who can read the key below can enter it.\nscheduler-address: {{address}}\n"


def make_certificate(directory, name, issuer=None):
    """Write a certificate and its key, and return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (directory / f"{name}.pem").write_bytes(certificate.public_bytes(encoding))
    unencrypted = serialization.NoEncryption()
    (directory / f"{name}.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, unencrypted))
    return certificate, key


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Return a directory with a CA and the certificates of a cluster and its clients."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = make_certificate(directory, "ca")
    for name in ("scheduler", "worker", "client"):
        make_certificate(directory, name, authority)
    return directory


def run_module(directory, check=False, **options):
    """Run the module on this host, as Ansible does."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m", "daskops.cluster.client_bundle", "--diff"]
        + ["-a", json.dumps({"directory": str(directory), **options}), *(["--check"] if check else [])],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_INVENTORY": "/none",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def get_options(certificates, address):
    return {
        "address": address,
        "dashboard": "https://pages.example.org/status",
        "authorities": [(certificates / "ca.pem").read_text().rstrip("\n")] * 2,  # two CAs, as during a rotation
        "certificate": (certificates / "client.pem").read_text(),
        "key": (certificates / "client.key").read_text(),
        "preload": PRELOAD.read_text(),
        "lock": LOCK,
    }


def make_home(home, certificates, address):
    """Install the files for the cluster at an address in a new account with this home, and return the home."""
    directory = home / ".config/dask"
    directory.mkdir(parents=True)
    (directory / "daskops.yaml").write_text(EARLIER.format(address=address))  # a file written by an earlier version
    code, output = run_module(directory, **get_options(certificates, address))
    assert code == 0, output
    key = (certificates / "client.key").read_text().splitlines()[1]
    assert key not in output
    assert key not in (directory / "daskops.yaml").read_text()
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == client_bundle.FILES
    return home
