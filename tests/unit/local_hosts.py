# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let Ansible reach hosts below a temporary directory (see `Machine`) over its local connection.

Modules run as they are. A hook for Python replaces the directories of the system by those of the host when a module or an
action plugin imports them.
"""

from __future__ import annotations

import json
import sys

from playbook_runs import play

#: Variables of a host that Ansible cannot reach.
LOST = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o BatchMode=yes"}

HOOK = """
import builtins
import os
import sys

ROOT = os.environ["STUB_ROOT"]
MODULE_UTILS = "ansible_collections.daskops.cluster.plugins.module_utils"
original = builtins.__import__


def import_and_change(name, *arguments, **options):
    found = original(name, *arguments, **options)
    if name == f"{MODULE_UTILS}.units":
        sys.modules[name].SYSTEMD, sys.modules[name].KEPT = f"{ROOT}/systemd", f"{ROOT}/kept"
    if name == f"{MODULE_UTILS}.host_lock":
        sys.modules[name].take_lock.__defaults__ = (5.0, f"{ROOT}/locks")
    return found


builtins.__import__ = import_and_change
"""


def prepare(machine):
    """Return the variables with which Ansible reaches a machine, and the environment variables of its processes."""
    hook = machine.root / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    variables = {
        "STUB_ROOT": str(machine.root),
        "PYTHONPATH": str(hook),
        "PATH": f"{machine.root / 'bin'}:/usr/bin:/bin",
    }
    python = machine.root / "python3"
    exports = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
    python.write_text(f"#!/bin/sh\n{exports}exec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    return {"ansible_connection": "local", "ansible_python_interpreter": str(python)}, variables


def run(work, hosts, tasks, groups=None, check_mode=False, **environment):
    """Run tasks on hosts, given by name with their variables, and return the results that they keep, by host.

    A task keeps the result ``name`` if it is registered as ``kept_name``.
    """
    names = [task["register"] for task in tasks if str(task.get("register", "")).startswith("kept_")]
    kept = "{{ {" + ", ".join(f"'{name}': {name} | default({{}})" for name in names) + "} | to_json }}"
    write = {
        "ansible.builtin.copy": {
            "content": kept,
            "dest": f"{work}/result-{{{{ inventory_hostname }}}}",
            "mode": "0600",
        },
        "delegate_to": "localhost",
        "check_mode": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
    }
    inventory = {
        "all": {"hosts": hosts, "children": {name: {"hosts": members} for name, members in (groups or {}).items()}}
    }
    (work / "inventory.json").write_text(json.dumps(inventory))
    (work / "play.json").write_text(
        json.dumps([{"hosts": ",".join(hosts), "gather_facts": False, "tasks": [*tasks, write]}])
    )
    arguments = [f"--inventory={work / 'inventory.json'}", *(["--check"] if check_mode else [])]
    done = play(work / "play.json", work, *arguments, ANSIBLE_FORKS="4", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    results = {host: json.loads((work / f"result-{host}").read_text()) for host in hosts}
    return {
        host: {name.removeprefix("kept_"): one for name, one in by_task.items()} for host, by_task in results.items()
    }
