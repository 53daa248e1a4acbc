# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets must not appear in the output of runs, in command lines, or in files that other users can read.

These tests come last, because they leave the cluster with other settings.
"""

import glob
import threading
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

CANARY = "canary-7f3a9c51e2d0"
SPECS = Path(__file__).resolve().parents[3] / "roles/preflight/meta/argument_specs.yml"
SECRETS = {
    "dask_environment_variables": {"REPORT_TOKEN": CANARY},
    # The packages are installed already, so nothing is fetched from this index.
    "dask_environment_index_url": f"https://somebody:{CANARY}@index.invalid/simple",
    # The hosts have a suitable Python, so nothing is fetched from this mirror.
    "dask_python_mirror": f"https://somebody:{CANARY}@mirror.invalid/python",
    "dask_dashboard_proxy_users": {"ada": CANARY},
    "dask_shutdown_token": CANARY,
    "dask_worker_environment_variables": {"WORKER_TOKEN": CANARY},
    "dask_worker_pools": {
        "main": {},
        "other": {"count": 1, "threads": 1, "environment_variables": {"POOL_TOKEN": CANARY}},
    },
    "dask_worker_pool_overrides": {"main": {"environment_variables": {"OVERRIDE_TOKEN": CANARY}, "memory": "500MiB"}},
}


@pytest.fixture(scope="module")
def arguments(cluster, tmp_path_factory):
    """Return arguments that set all secret variables from a vault, with maximum verbosity."""
    names = ["ca.pem", "ca.key", "client.pem", "client.key", "workers/worker1.pem", "workers/worker1.key"]
    secrets = {**SECRETS, "dask_tls_files": {name: (cluster.certificates / name).read_text() for name in names}}
    directory = tmp_path_factory.mktemp("vault")
    (directory / "password").write_text("open sesame")
    vault = VaultLib([("default", VaultSecret(b"open sesame"))])
    (directory / "secrets.yml").write_bytes(vault.encrypt(yaml.safe_dump(secrets)))
    given = [f"@{directory}/secrets.yml", f"--vault-password-file={directory}/password"]
    return ["-e", *given, "-e", "dask_dashboard_proxy=true", "-vvv", "--diff"]


@pytest.fixture(scope="module")
def keys(cluster):
    """Return one line of each private key."""
    return [path.read_text().splitlines()[1] for path in cluster.certificates.rglob("*.key")]


class Watch(threading.Thread):
    """A thread that records the command lines of all processes, including those in the containers."""

    def __init__(self):
        super().__init__()
        self.over = threading.Event()
        self.lines = set()

    def run(self):
        while not self.over.wait(0.1):
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    self.lines.add(Path(path).read_bytes())
                except OSError:
                    pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.join()


def test_all_secret_variables_are_covered():
    options = yaml.safe_load(SPECS.read_text())["argument_specs"]["main"]["options"]
    assert {name for name, about in options.items() if about.get("no_log")} == {*SECRETS, "dask_tls_files"}


def test_runs_show_no_secret(cluster, play, arguments, keys, monkeypatch, tmp_path):
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN", "ansible.builtin.jsonfile")
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path / "facts"))
    with Watch() as watch:
        runs = {
            "check": play("site", "--check", *arguments),
            "site": play("site", *arguments),
            "client": play("client", *arguments),
            "rotate": play("rotate_certificates", *arguments),
            **{name: play(name, *arguments) for name in ("status", "show_configuration", "show_plan", "show_ports")},
        }
    keys += [path.read_text().splitlines()[1] for path in cluster.certificates.rglob("*.key")]
    for name, run in runs.items():
        assert run.returncode == 0, (name, run.output[-3000:])
        for secret in (CANARY, *keys):
            lines = [line for line in run.output.splitlines() if secret in line]
            assert lines == [], (name, lines[0][:1000])
    assert any(b"ansible-playbook" in line for line in watch.lines)
    for secret in (CANARY, *keys):
        assert [line for line in watch.lines if secret.encode() in line] == []
        cached = [path for path in tmp_path.glob("facts/*") if secret in path.read_text()]
        assert cached == []
    # The hosts did get the secrets.
    program = "import os\nprint(set(client.run(lambda: os.environ['REPORT_TOKEN']).values()))"
    assert cluster.compute(program) == f"{{'{CANARY}'}}\n"


def test_files_readable_by_others_contain_no_secrets(cluster, keys):
    places = "/etc /opt /var /home /run /tmp /srv"
    search = "grep --recursive --fixed-strings --files-with-matches --devices=skip"
    secrets = " ".join(f"-e '{secret}'" for secret in (CANARY, *keys))
    for name in (cluster.scheduler, *cluster.workers):
        host = cluster.host(name)
        readable = host.run(f"runuser -u nobody -- {search} {secrets} {places}").stdout
        assert readable == ""
        # Root finds the secret in its file.
        found = host.run(f"{search} -e '{CANARY}' /opt/dask/releases").stdout
        assert "/services/dask-" in found
