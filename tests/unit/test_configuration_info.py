# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that reads the settings of running services."""

import contextlib
import io
import json
import socketserver
import threading

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.modules import configuration_info

ANSWER = {"settings": {"distributed.worker.memory.spill": [0.7, "file"]}, "drift": []}


@contextlib.contextmanager
def answering(directory, answer):
    """Serve the control socket of a service below a directory."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            assert self.rfile.readline() == b"configuration\n"
            self.wfile.write(answer)

    directory.mkdir()
    with socketserver.ThreadingUnixStreamServer(str(directory / "control.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def info(tmp_path, monkeypatch):
    """Return a function that runs the module on a host with these units, by unit its state."""
    monkeypatch.setattr(configuration_info, "RUNTIME_DIRECTORIES", str(tmp_path))

    def run(**states):
        shown = {f"dask-{name.replace('_', '@')}.service": {"ActiveState": state} for name, state in states.items()}
        monkeypatch.setattr(configuration_info, "shown_services", lambda module: shown)
        output = io.StringIO()
        with patch_module_args({"timeout": 5}), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
            configuration_info.main()
        return json.loads(output.getvalue())

    return run


def test_settings_of_active_services_are_returned(info, tmp_path):
    with answering(tmp_path / "dask-worker-1", json.dumps(ANSWER).encode()):
        found = info(worker_1="active", worker_2="inactive")
    assert found["services"] == {"dask-worker@1.service": ANSWER} and found["silent"] == {} and not found["changed"]


def test_services_without_a_valid_answer_are_listed_with_the_error(info, tmp_path):
    with answering(tmp_path / "dask-worker-1", b"not understood\n"):
        found = info(scheduler="active", worker_1="active")
    assert found["services"] == {}
    assert found["silent"] == {
        "dask-scheduler.service": f"[Errno 2] No such file or directory: '{tmp_path}/dask-scheduler'",
        "dask-worker@1.service": "it is not JSON",
    }
