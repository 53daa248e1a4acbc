# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a host for tests of modules: real files, links and processes below a temporary directory, and a stub for systemd."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.module_utils import units as module_units
from ansible_collections.daskops.cluster.plugins.modules import change_services

SCHEDULER = "dask-scheduler.service"
WORKERS = ["dask-worker@1.service", "dask-worker@2.service"]
STUB = Path(__file__).parent / "stub_systemctl.py"


class Machine:
    """A host with the releases ``one`` and ``two``, or others. The test must call `close`."""

    def __init__(self, root, monkeypatch, releases=("one", "two")):
        self.root, self.home, self.systemd = root, root / "home", root / "systemd"
        self.systemd.mkdir()
        programs = root / "bin"
        programs.mkdir()
        for name, text in {
            "systemctl": f"#!{sys.executable} -IS\n{STUB.read_text()}",
            "journalctl": "#!/bin/sh\necho the last words\n",
        }.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setenv("STUB_ROOT", str(root))
        monkeypatch.setattr(module_units, "SYSTEMD", str(self.systemd))
        monkeypatch.setattr(change_services, "SYSTEMD", str(self.systemd))
        (root / "kept").mkdir()
        monkeypatch.setattr(change_services, "KEPT", str(root / "kept"))
        monkeypatch.setattr(
            change_services, "take_lock", lambda name: None
        )  # this process would hold the lock until it ends
        for name in releases:
            self.add_release(name)

    def add_release(self, name, units=None, services_of=""):
        """Write a release as `stage_release` does.

        ``units`` has the content of its units by kind, by path. ``services_of`` is the release that has the same services.
        """
        release = self.home / "releases" / name
        (release / "services").mkdir(parents=True, exist_ok=True)
        units = {
            "scheduler": {"dask-scheduler.service": self.unit(name)},
            "worker": self.worker_units(name),
            **(units or {}),
        }
        for path, text in {**units["scheduler"], **units["worker"]}.items():
            (release / "systemd" / path).parent.mkdir(parents=True, exist_ok=True)
            (release / "systemd" / path).write_text(text)
        services = {"dask-scheduler.service": {"kind": "scheduler", "release": f"{services_of or name}.s"}}
        services.update({unit: {"kind": "worker", "release": f"{services_of or name}.w"} for unit in WORKERS})
        for unit, about in services.items():
            (release / f"services/{unit}.release").write_text(f"DASKOPS_RELEASE={about['release']}\n")
        digests = {kind: module_units.unit_digests(texts) for kind, texts in units.items()}
        manifest = {"id": name, "environment": "e", "services": services, "ports": {}, "tls": True, "units": digests}
        (release / "manifest.json").write_text(json.dumps(manifest))

    def unit(self, name):
        return f"[Service]\nExecStart=/bin/sleep {name}\n"

    def worker_units(self, name, memory="1G"):
        drop_ins = {f"{unit}.d/daskops.conf": f"[Service]\nMemoryMax={memory}\n" for unit in WORKERS}
        return {"dask-worker@.service": self.unit(name), "dask-workers.target": "[Unit]\n", **drop_ins}

    def run(self, release, **options):
        """Run the module `change_services` and return its result."""
        arguments = {
            "home": str(self.home),
            "release": release,
            "kind": "scheduler",
            "start_timeout": 1,
            **options,
        }
        arguments["boot"] = module_units.BOOT[arguments["kind"]]
        output = io.StringIO()
        with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
            change_services.main()
        return json.loads(output.getvalue())

    def systemctl(self, *arguments):
        """Run a command of the stub."""
        subprocess.run([str(self.root / "bin/systemctl"), *arguments], check=True)

    def state(self):
        """Return the current release, the scheduler's unit, the running processes and files left by a replacement."""
        services = json.loads((self.root / "state.json").read_text())["services"]
        return {
            "current": os.readlink(self.home / "current"),
            "unit": (self.systemd / "dask-scheduler.service").read_text(),
            "processes": {unit: Path(f"/proc/{pid}/environ").read_text().strip("\0") for unit, pid in services.items()},
            "files": sorted(
                str(path.relative_to(self.root))
                for path in self.root.rglob("*")
                if path.is_file() and path.suffix in (".new", ".old")
            ),
        }

    def asked(self):
        """Return the commands given to systemd since the last call, without queries."""
        path = self.root / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [line for line in lines if not line.startswith(("show", "list-units"))]

    def close(self):
        if (self.root / "state.json").exists():
            for pid in json.loads((self.root / "state.json").read_text())["services"].values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
