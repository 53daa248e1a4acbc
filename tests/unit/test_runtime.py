# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All modules of the runtime."""

from __future__ import annotations

import subprocess
import sys

from conftest import RUNTIME, environment


def test_imports_have_no_side_effects():
    names = sorted(
        path.stem
        for path in (RUNTIME / "daskops_runtime").glob("*.py")
        if path.stem not in ("__init__", "validate_config")
    )
    code = f"""
import importlib, threading
import distributed.http.utils
for name in {names} * 3:
    importlib.reload(importlib.import_module("daskops_runtime." + name))
assert threading.active_count() == 1
"""
    env = environment({}, {"NOTIFY_SOCKET": "/nowhere"})
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
