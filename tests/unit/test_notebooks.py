# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real scheduler with `--jupyter`, and a package in place of Jupyter that has the parts that Dask uses."""

import contextlib
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import yaml
from conftest import RUNTIME, wait_until
from distributed import Client
from distributed.security import Security

LAUNCH = RUNTIME / "daskops_runtime/launch.py"
TOKEN = "0123456789abcdef"

#: Jupyter's own configuration of the token is overridden by that of Dask, which is empty.
SERVER = """
from tornado import web

class IdentityProvider:
    token = ""

    @property
    def auth_enabled(self):
        return bool(self.token) and AUTHENTICATES

class Notebook(web.RequestHandler):
    def get(self, path):
        provider = self.application.settings["provider"]
        allowed = not provider.auth_enabled or self.get_argument("token", "") == provider.token
        self.set_status(200 if allowed else 403)

class ServerApp:
    @classmethod
    def instance(cls, config):
        assert config["ServerApp"]["token"] == ""
        return cls()

    def initialize(self, new_httpserver, argv):
        self.identity_provider = IdentityProvider()
        self.web_app = web.Application([(r"(/jupyter.*)", Notebook)], provider=self.identity_provider)

    async def _cleanup(self):
        pass
"""
FILES = {
    "jupyter_server/__init__.py": "",
    "jupyter_server/auth.py": "def authorized(function): return function\n",
    "jupyter_server/base/__init__.py": "",
    "jupyter_server/base/handlers.py": "from tornado.web import RequestHandler as JupyterHandler\n",
    "traitlets/__init__.py": "",
    "traitlets/config.py": "Config = dict\n",
}


@pytest.fixture
def jupyter(tmp_path):
    """Return a function that starts a scheduler with Jupyter and TLS; the result is the process."""

    @contextlib.contextmanager
    def start(made, authenticates=True, token=TOKEN):
        for name, text in {
            **FILES,
            "jupyter_server/serverapp.py": f"AUTHENTICATES = {authenticates}\n{SERVER}",
        }.items():
            (tmp_path / "library" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "library" / name).write_text(text)
        certificate = {"cert": f"{made}/scheduler.pem", "key": f"{made}/scheduler.key"}
        tls = {"ca-file": f"{made}/ca.pem", "scheduler": certificate, "client": certificate}
        config = {
            "comm": {"require-encryption": True, "default-scheme": "tls", "tls": tls},
            "scheduler": {"preload": ["daskops_runtime.scheduler"], "dashboard": {"tls": certificate}},
        }
        (tmp_path / "dask.yaml").write_text(yaml.safe_dump({"distributed": config}))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DASK", "JUPYTER"))}
        variables = {**kept, "DASK_CONFIG": str(tmp_path / "dask.yaml"), "PYTHONPATH": f"{tmp_path}/library:{RUNTIME}"}
        variables.update({"JUPYTER_TOKEN": token} if token else {})
        command = [sys.executable, LAUNCH, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        command += ["--dashboard-address", "127.0.0.1:0", "--jupyter", "--no-dashboard"]
        command += ["--scheduler-file", tmp_path / "scheduler.json"]
        with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    return start


def listening(process):
    """Return the ports that a process listens on, all of them at 127.0.0.1."""
    lines = open(f"/proc/{process.pid}/net/tcp").read().splitlines()[1:]
    fields = [line.split() for line in lines]
    sockets = {one[9]: int(one[1].split(":")[1], 16) for one in fields if one[3] == "0A"}
    descriptors = f"/proc/{process.pid}/fd"
    links = [os.readlink(f"{descriptors}/{name}") for name in os.listdir(descriptors)]
    return sorted(sockets[link[8:-1]] for link in links if link.startswith("socket:[") and link[8:-1] in sockets)


def status(port, path):
    context = ssl._create_unverified_context()
    try:
        return urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=context, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def started(tmp_path, process):
    """Return address and HTTP port of the scheduler when Dask has opened all of its ports."""
    file = tmp_path / "scheduler.json"
    wait_until(lambda: process.poll() is not None or (file.exists() and file.read_text()))
    assert process.poll() is None, process.stderr.read()
    return yaml.safe_load(file.read_text())


def test_jupyter_needs_a_token_and_opens_no_port_without_encryption(jupyter, made, tmp_path):
    with jupyter(made) as process:
        about = started(tmp_path, process)
        port = about["services"]["dashboard"]
        assert status(port, "/jupyter/lab") == status(port, "/jupyter/lab?token=wrong") == 403
        assert status(port, f"/jupyter/lab?token={TOKEN}") == 200
        assert status(port, "/health") == 200
        security = Security(
            tls_ca_file=f"{made}/ca.pem",
            tls_client_cert=f"{made}/client.pem",
            tls_client_key=f"{made}/client.key",
            require_encryption=True,
        )
        with Client(about["address"], security=security, timeout=20, set_as_default=False) as client:
            # The address for the kernels of Jupyter is the encrypted one.
            assert client.run_on_scheduler(os.getenv, "DASK_SCHEDULER_ADDRESS") == about["address"]
        assert listening(process) == sorted([int(about["address"].rpartition(":")[2]), port])


def test_scheduler_ends_if_jupyter_ignores_the_token(jupyter, made):
    with jupyter(made, authenticates=False) as process:
        assert process.wait(30) == 1
        assert (
            "This Jupyter ignores JUPYTER_TOKEN. Put jupyter-server 2 or newer into the lock." in process.stderr.read()
        )
