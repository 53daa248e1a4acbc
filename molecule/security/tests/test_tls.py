# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access with and without certificates of the cluster, and certificate changes while the cluster works."""

import datetime
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import warnings

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import DAY, Directory, make, plan
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Sends a function to a server, which creates a file if the server runs it.
INTRUDER = """
import asyncio, ssl, sys
import cloudpickle
from distributed.core import connect

address, operation, path, *files = sys.argv[1:]
arguments = {"require_encryption": bool(files)}
if files:
    arguments["ssl_context"] = ssl.create_default_context(cafile=files[0])
    arguments["ssl_context"].check_hostname = False
if files[1:]:
    arguments["ssl_context"].load_cert_chain(*files[1:])

async def main():
    comm = await connect(address, timeout=5, **arguments)
    function, args, kwargs = map(cloudpickle.dumps, (lambda: open(path, "w").close(), (), {}))
    await comm.write({"op": operation, "function": function, "args": args, "kwargs": kwargs, "reply": True})
    print(await asyncio.wait_for(comm.read(), 10))

asyncio.run(main())
"""
TARGETS = {
    "scheduler": ("scheduler", 8786, "run_function"),
    "worker": ("worker1", 8800, "run"),
    "nanny": ("worker2", 9000, "run"),
}


@pytest.fixture(scope="module")
def certificates(cluster, tmp_path_factory):
    """Return the files of a client by the kind of certificate."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = str(cluster.certificates / "ca.pem")
    own_key = serialization.load_pem_private_key((cluster.certificates / "ca.key").read_bytes(), None)
    own = x509.load_pem_x509_certificate((cluster.certificates / "ca.pem").read_bytes())
    other_key = ec.generate_private_key(ec.SECP256R1())

    def signed(name, signer, days):
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(own.subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=9))
        certificate = builder.not_valid_after(now + datetime.timedelta(days=days)).sign(signer, hashes.SHA256())
        (directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (directory / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        return [authority, str(directory / f"{name}.pem"), str(directory / f"{name}.key")]

    return {
        "right": [authority, str(cluster.certificates / "client.pem"), str(cluster.certificates / "client.key")],
        "also right": signed("right", own_key, 1),
        "none": [authority],
        "another CA's": signed("other", other_key, 1),
        "expired": signed("expired", own_key, -1),
        "plain text": [],
    }


def attempt(cluster, target, files):
    """Return whether a server ran the intruder's function, and the intruder's output."""
    host, port, operation = TARGETS[target]
    scheme = "tls" if files else "tcp"
    address = f"{scheme}://{cluster.variables[host]['ansible_host']}:{port}"
    path = "/var/lib/dask/intruder"
    cluster.host(host).check_output(f"rm -f {path}")
    done = subprocess.run(
        [sys.executable, "-c", INTRUDER, address, operation, path, *files], capture_output=True, text=True, check=False
    )
    return cluster.host(host).file(path).exists, done.stdout + done.stderr


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("which", ["right", "also right"])
def test_client_with_a_certificate_of_the_cluster_is_accepted(cluster, certificates, target, which):
    executed, output = attempt(cluster, target, certificates[which])
    assert executed, output


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("which", ["none", "another CA's", "expired", "plain text"])
def test_other_clients_are_rejected_and_run_nothing(cluster, certificates, target, which):
    executed, output = attempt(cluster, target, certificates[which])
    assert not executed
    assert "OSError" in output or "CommClosedError" in output or "SSLError" in output, output


@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.parametrize("port", [8786, 8787])
def test_tls_before_1_2_is_rejected(cluster, port, version, accepted):
    context = ssl.create_default_context(cafile=cluster.certificates / "ca.pem")
    context.load_cert_chain(cluster.certificates / "client.pem", cluster.certificates / "client.key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    address = cluster.variables[cluster.scheduler]["ansible_host"]
    with socket.create_connection((address, port), 10) as plain:
        if accepted:
            with context.wrap_socket(plain, server_hostname=address) as encrypted:
                assert encrypted.version() == version.replace("_", ".")
        else:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname=address)


def test_other_users_cannot_read_keys_or_open_sockets(cluster):
    for name in ("scheduler", "worker1"):
        host = cluster.host(name)
        keys = host.check_output("find /opt/dask/tls -type f -name '*.pem' ! -name ca.pem").split()
        assert keys
        for key in keys:
            file = host.file(key)
            assert (file.user, file.mode) == ("dask", 0o400)
            assert host.run(f"runuser -u dask -- cat {key}").rc == 0
            assert host.run(f"runuser -u ops -- cat {key}").rc != 0
    assert not cluster.host("worker1").file("/opt/dask/tls/scheduler.pem").exists
    assert "ca.key" not in cluster.host("scheduler").check_output("find / -xdev -name '*.key'")
    worker = cluster.host("worker1")
    (control,) = worker.check_output("find /run/dask-worker-1 -type s").split()
    program = f"import socket; socket.socket(socket.AF_UNIX).connect('{control}')"
    assert worker.run(f'python3 -c "{program}"').rc == 0
    refused = worker.run(f'runuser -u ops -- python3 -c "{program}"')
    assert refused.rc != 0 and "PermissionError" in refused.stderr


def test_certificates_change_under_load(cluster, play, load):
    before, pids = cluster.summary(), cluster.pids()
    soon = ["-e", "dask_tls_days=20", "-e", "dask_tls_warn_days=10"]
    for rotation, arguments in (("authority", []), ("finish", []), ("certificates", soon)):
        run = play("rotate_certificates", "-e", f"dask_tls_rotation={rotation}", *arguments)
        assert run.returncode == 0, run.output
        if rotation == "authority":
            assert "The cluster is healthy" in run.output
            # During the rotation, old certificates are still accepted.
            assert cluster.compute("print(client.submit(sum, (1, 2), pure=False).result())") == "3\n"
    # site.yml renews certificates that expire soon and reports it.
    predicted = play("site", "--check")
    assert predicted.returncode == 0, predicted.output
    assert re.search(
        r"New certificates: client, scheduler, workers/worker1, workers/worker2 \(expires on", predicted.output
    )
    assert all(predicted.changed[host] for host in (cluster.scheduler, *cluster.workers))
    run = play("site")
    assert run.returncode == 0, run.output
    assert "workers/worker1, workers/worker2 (expires on" in run.output and "The cluster is healthy" in run.output
    after = cluster.summary()
    assert after["scheduler"]["id"] == before["scheduler"]["id"] and cluster.pids(after) == pids
    assert after["scheduler"]["certificate_expires"] > before["scheduler"]["certificate_expires"]
    # The old certificate is rejected, and client.yml gives the user a new one.
    refused = cluster.start("print(client.submit(sum, (1, 2)).result())")
    assert refused.wait(120) != 0
    run = play("client")
    assert run.returncode == 0, run.output
    assert cluster.compute("print(client.submit(sum, (1, 2), pure=False).result())") == "3\n"


def authority(cluster, directory):
    """Return arguments for a controller with an empty directory, which has the CA of the cluster in a variable."""
    files = {name: (cluster.certificates / name).read_text().rstrip() for name in ("ca.pem", "ca.key")}
    (directory / "files.json").write_text(json.dumps({"dask_tls_files": files}))
    return ["-e", f"@{directory}/files.json", "-e", f"dask_tls_directory={directory}/tls"]


def test_controller_with_only_the_ca_changes_nothing(cluster, play, tmp_path):
    before, arguments = cluster.summary(), authority(cluster, tmp_path)
    run = play("site", *arguments)
    assert run.returncode == 0, run.output
    assert not any(run.changed.values()) and not (tmp_path / "tls").exists()
    # It makes its own client certificate, and then finds nothing to change either.
    run = play("client", *arguments)
    assert run.returncode == 0, run.output
    assert {path.name for path in (tmp_path / "tls").glob("[!.]*")} == {"client.pem", "client.key"}
    assert cluster.compute("print(client.submit(sum, (1, 2), pure=False).result())") == "3\n"
    # A service's account may write into the file of its certificate. Here it writes the certificate of another host.
    worker1, worker2 = cluster.host("worker1"), cluster.host("worker2")
    own = worker1.check_output("cat /opt/dask/tls/worker.pem")
    worker2.check_output(
        "runuser -u dask -- sh -c 'chmod 600 /opt/dask/tls/worker.pem; cat > /opt/dask/tls/worker.pem; "
        f"chmod 400 /opt/dask/tls/worker.pem' <<'END'\n{own}\nEND"
    )
    run = play("site", *arguments)
    assert run.returncode == 0, run.output
    assert re.search(r"New certificates: workers/worker2 \(not for [^)]*worker2", run.output), run.output
    assert run.changed["worker2"] and not run.changed["worker1"]
    assert worker2.check_output("cat /opt/dask/tls/worker.pem") != own
    assert not any(play("site", *arguments).changed.values())
    assert cluster.pids() == cluster.pids(before)
    # The controller that has the directory installs its own certificate again.
    run = play("site")
    assert run.returncode == 0 and {host for host, changes in run.changed.items() if changes} == {"worker2"}
    assert cluster.pids() == cluster.pids(before) and play("client").returncode == 0


def test_lost_ca_is_reissued_under_load(cluster, play, load, tmp_path):
    before, pids = cluster.summary(), cluster.pids()
    shutil.move(cluster.certificates, tmp_path / "lost")
    told = play("site")
    assert told.returncode != 0 and not cluster.certificates.exists()
    assert "does not exist. Do one of these: correct dask_tls_directory" in " ".join(told.output.split())
    reissue = ["rotate_certificates", "-e", "dask_tls_rotation=reissue"]
    limited = play(*reissue, "--limit", "scheduler,worker1")
    assert limited.returncode != 0 and "worker2: not in this run" in " ".join(limited.output.split())
    # A compromised host cannot make the others trust the CA of an attacker.
    attacker, names = Directory(str(tmp_path / "attacker")), {"client": ["client"]}
    with attacker.locked(write=True):
        make(attacker, plan(attacker, names)[0], names, 20)
        attacker.commit()
    worker2, file = cluster.host("worker2"), "/opt/dask/tls/ca.pem"
    worker2.check_output(f"cp -p {file} /root/ca.pem; cat >> {file} <<'END'\n{attacker.read('ca.pem')}END")
    refused = play(*reissue)
    assert refused.returncode != 0 and "The hosts trust different CAs" in " ".join(refused.output.split())
    assert not cluster.certificates.exists()
    worker2.check_output(f"mv /root/ca.pem {file}")
    # Interrupt the run after all hosts trust both CAs.
    interrupted = play.start(*reissue)
    for line in interrupted.stdout:
        if "PLAY [Renew the certificates]" in line:
            break
    os.killpg(interrupted.pid, signal.SIGKILL)
    interrupted.communicate()
    for name in (cluster.scheduler, *cluster.workers):
        assert cluster.host(name).check_output(f"grep -c BEGIN {file}") == "2"
    assert cluster.compute("print(client.submit(sum, (1, 2), pure=False).result())") == "3\n"
    told = play("site")
    assert told.returncode != 0 and "with -e dask_tls_rotation=reissue" in " ".join(told.output.split())
    run = play(*reissue)
    assert run.returncode == 0, run.output
    assert "The cluster is healthy" in run.output
    after = cluster.summary()
    assert after["scheduler"]["id"] == before["scheduler"]["id"] and cluster.pids(after) == pids
    # New connections of clients need client.yml.
    assert cluster.start("print(client.submit(sum, (1, 2)).result())").wait(120) != 0
    assert play("client").returncode == 0
    assert cluster.compute("print(client.submit(sum, (1, 2), pure=False).result())") == "3\n"
    run = play("rotate_certificates", "-e", "dask_tls_rotation=finish")
    assert run.returncode == 0, run.output
    assert cluster.host("worker1").check_output(f"grep -c BEGIN {file}") == "1"
    assert not any(play("site").changed.values()) and cluster.pids() == pids
    nothing_lost = play(*reissue)
    assert nothing_lost.returncode != 0 and "nothing is lost" in nothing_lost.output


def test_renewal_of_the_client_certificate_alone_restarts_nothing(cluster, play):
    directory, names = Directory(str(cluster.certificates)), {"client": ["client"]}
    with directory.locked(write=True):
        make(directory, plan(directory, names, rotation="certificates")[0], names, days=20)
        directory.commit()
    before, pids = cluster.summary(), cluster.pids()
    run = play("site")
    assert run.returncode == 0, run.output
    assert "New certificates: client (expires on" in run.output and "Run client.yml" in run.output
    # Only the task on the controller changes something. It counts for the host that it runs for.
    assert sorted(run.changed.values()) == [0, 0, 1]
    after = cluster.summary()
    assert after["scheduler"]["id"] == before["scheduler"]["id"] and cluster.pids(after) == pids
    assert Directory(str(cluster.certificates)).expires("client") > time.time() + 300 * DAY


def test_each_worker_host_has_its_own_certificate(cluster):
    """Monitoring can request the pages of a worker by its name or address."""
    texts = set()
    for name, port in (("worker1", 8900), ("worker2", 8900)):
        address = cluster.variables[name]["ansible_host"]
        context = ssl.create_default_context(cafile=cluster.certificates / "ca.pem")
        for asked in (address, name):
            with socket.create_connection((address, port), 10) as plain:
                with context.wrap_socket(plain, server_hostname=asked) as encrypted:
                    texts.add(encrypted.getpeercert(binary_form=True))
    assert len(texts) == 2


def test_certificates_that_expire_soon_are_reported(cluster, play):
    run = play("status", "-e", "dask_tls_warn_days=900")
    assert re.search(r"Certificates expire in 36[45] days", run.output), run.output
    assert "degraded" in run.output
