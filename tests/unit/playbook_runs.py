# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of playbooks that need no other host than this one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def play(path, work, *arguments, timeout=None, **environment):
    """Run a playbook without the inventory of the user's settings."""
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(work / "tmp")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", path, *arguments],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_INVENTORY": str(work / "none"), **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


HOSTS = """
all:
  children:
    dask_scheduler:
      hosts: {s1: {ansible_host: 127.0.0.1, ansible_port: 1}}
    dask_workers:
      hosts: {w1: {ansible_host: 127.0.0.2, ansible_port: 1}, w2: {ansible_host: 127.0.0.3, ansible_port: 1}}
"""


# Variables of other projects that cannot be evaluated, or only slowly.
OTHER_PEOPLES = """
  vars:
    address: "{{ ansible_default_ipv4.address }}"
    recursive: "{{ recursive }}"
    broken: "{{ nobody | knows_this_filter }}"
    no_template: "{% if"
    unreadable: "{{ lookup('ansible.builtin.file', '/nowhere') }}"
    slow: "{{ lookup('ansible.builtin.pipe', 'sleep 60') }}"
    vaulted: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      63363736653134353235336265616432633034393838313862653939323066336431
    unsafe: !unsafe "{{ nothing }}"
    dask_scheduler_host: "{{ hostvars[groups['dask_scheduler'][0]].ansible_host }}"
    huge: {a: {b: {c: ["{{ ansible_hostname }}", "{{ nothing.at_all }}"]}}}
    Dask_notes: "{{ nothing }}"
    my_dask_notes: "{{ nothing }}"
"""


def inventory(work, text=HOSTS):
    """Write an inventory and return the option that names it."""
    path = work / "hosts.yml"
    path.write_text(text)
    return f"--inventory={path}"


def failure(run):
    """Return the message of the only failed task."""
    assert run.returncode != 0, run.stdout
    assert "Traceback" not in run.stdout + run.stderr
    (message,) = re.findall(r'^fatal: .*FAILED! => .*?"msg": ("(?:[^"\\]|\\.)*")', run.stdout, re.MULTILINE)
    return json.loads(message)
