# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client accounts: how Dask connects there, and how the files are installed and removed."""

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.filter.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.modules import client_bundle
from conftest import scheduler, worker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from wheels import build_wheel, lock_line

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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority = make_certificate(directory, "ca")
    for name in ("scheduler", "worker", "client"):
        make_certificate(directory, name, authority)
    return directory


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


@pytest.fixture(scope="module")
def home(certificates, encrypted, tmp_path_factory):
    """Return the home of an account that can connect to the scheduler of `encrypted`."""
    home = tmp_path_factory.mktemp("home")
    directory = home / ".config/dask"
    directory.mkdir(parents=True)
    (directory / "daskops.yaml").write_text(EARLIER.format(address=encrypted))  # a file written by an earlier version
    code, output = run_module(directory, **get_options(certificates, encrypted))
    assert code == 0, output
    key = (certificates / "client.key").read_text().splitlines()[1]
    assert key not in output
    assert key not in (directory / "daskops.yaml").read_text()
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == client_bundle.FILES
    return home


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


def test_second_run_and_check_mode_change_nothing(home, certificates, encrypted):
    directory = home / ".config/dask"
    options = get_options(certificates, encrypted)
    code, output = run_module(directory, **options)
    assert code == 0 and "SUCCESS" in output
    before = {path.name: path.read_text() for path in directory.glob("daskops*")}
    code, output = run_module(directory, check=True, **{**options, "dashboard": "https://other.example.org/status"})
    assert code == 0 and "CHANGED" in output and "https://other.example.org/status" in output
    code, output = run_module(directory, check=True, state="absent", address=encrypted)
    assert code == 0 and "CHANGED" in output
    assert before == {path.name: path.read_text() for path in directory.glob("daskops*")}


def test_all_files_are_removed(home, encrypted, tmp_path):
    directory = Path(shutil.copytree(home / ".config/dask", tmp_path / "dask"))
    (directory / "__pycache__").mkdir(exist_ok=True)
    (directory / "__pycache__/daskops_client.cpython-311.pyc").touch()
    (directory / "own.yaml").write_text("{}")
    code, output = run_module(directory, state="absent", address="tls://other:8786")
    assert code == 0 and f'"other": "{encrypted}"' in output
    assert (directory / "daskops-client.pem").exists()
    code, output = run_module(directory, state="absent", address=encrypted)
    assert code == 0, output
    assert [path.name for path in directory.iterdir()] == ["own.yaml"]
    code, output = run_module(directory, state="absent", address=encrypted)
    assert code == 0 and "SUCCESS" in output


def test_files_of_an_earlier_version_are_removed(tmp_path):
    (tmp_path / "daskops.yaml").write_text(EARLIER.format(address="tls://10.0.0.1:8786"))
    (tmp_path / "daskops-environment.txt").write_text(LOCK)
    code, output = run_module(tmp_path, state="absent", address="tls://10.0.0.1:8786")
    assert code == 0, output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["own: file\n", client_bundle.HEADER, f"{client_bundle.HEADER}\n  client: {{}}\n", "\0"]
)
def test_files_of_other_programs_are_kept(tmp_path, text):
    (tmp_path / "daskops.yaml").write_text(text)
    code, output = run_module(tmp_path, state="absent", address="tls://10.0.0.1:8786")
    assert code == 0 and "SUCCESS" in output
    assert (tmp_path / "daskops.yaml").read_text() == text


def test_link_is_replaced_and_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("untouched")
    directory = tmp_path / "dask"
    directory.mkdir()
    (directory / "daskops.yaml").symlink_to(target)
    code, output = run_module(
        directory, address="tcp://10.0.0.1:8786", dashboard="http://10.0.0.1:8787", preload="", lock=LOCK
    )
    assert code == 0, output
    assert target.read_text() == "untouched" and not (directory / "daskops.yaml").is_symlink()
    assert yaml.safe_load((directory / "daskops.yaml").read_text())["daskops"]["client"]["security"] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write to another user's directory")
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("whose", ["another user's", "everybody's", "linked"])
def test_root_does_not_write_to_directories_that_others_can_change(tmp_path, whose, state):
    tmp_path.chmod(0o755)
    directory = tmp_path / "home/.config/dask"
    directory.mkdir(parents=True)
    if whose == "everybody's":
        (tmp_path / "home").chmod(0o777)
    else:
        os.chown(tmp_path / "home", 65534, 65534)
    if whose == "linked":
        (tmp_path / "link").symlink_to(directory)
        directory = tmp_path / "link"
    (directory / "daskops.yaml").write_text(EARLIER.format(address="tcp://10.0.0.1:8786"))
    options = {"address": "tcp://10.0.0.1:8786", "dashboard": "http://10.0.0.1:8787", "preload": "", "lock": LOCK}
    code, output = run_module(directory, state=state, **options)
    assert code != 0
    assert f"other users can change {tmp_path}/home, so root does not write there. Connect as the user" in output
    assert [path.name for path in directory.iterdir()] == ["daskops.yaml"]


def test_directory_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    options = {"address": "tcp://10.0.0.1:8786", "dashboard": "http://10.0.0.1:8787", "preload": "", "lock": LOCK}
    code, output = run_module(tmp_path / "file/dask", **options)
    assert code != 0
    assert "Not a directory" in output and "Traceback" not in output


def test_wheels_of_the_lock_are_installed_and_removed_with_it(certificates, tmp_path):
    wheel = build_wheel(tmp_path, "mycode")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"./{wheel.name} {lock_line(wheel).split(' ', 1)[1]}")
    directory = tmp_path / ".config/dask"
    options = {**get_options(certificates, "tls://10.0.0.1:8786"), **{"lock": client_lock(str(lock))["text"]}}
    code, output = run_module(directory, **options, wheels=client_lock(str(lock))["wheels"])
    assert code == 0, output
    program = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--require-hashes",
        "--target",
        str(tmp_path / "target"),
    ]
    subprocess.run([*program, "--requirement", str(directory / "daskops-environment.txt")], check=True, cwd="/")
    assert (tmp_path / "target/mycode.py").exists()
    code, output = run_module(directory, state="absent", address="tls://10.0.0.1:8786")
    assert code == 0, output
    assert list(directory.iterdir()) == []
