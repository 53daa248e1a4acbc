# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A health check that cannot run counts as failed and does not end the play."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

HOSTS = """
all:
  hosts:
    asker: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
    gone: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_ssh_common_args: -o BatchMode=yes}
    no_python: {ansible_connection: local, ansible_python_interpreter: /nonexistent/python3}
"""

PLAY = """
- hosts: asker
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Ask
      daskops.cluster.judge_change:
        results: {asker: {changed: true}}
        gate: "{{ item.gate }}"
      delegate_to: "{{ item.host }}"
      loop:
        - {host: gone, gate: &gate {url: "http://127.0.0.1:1", request_timeout: 1}}
        - {host: no_python, gate: *gate}
        - {host: asker, gate: *gate}
        - {host: asker, gate: {url: "https://127.0.0.1:1", ca_path: /nonexistent/ca.pem}}
        - {host: asker, gate: {url: "http://127.0.0.1:1", interval: never}}
        - {host: asker, gate: {}}
      register: judged
    - name: Write the results
      ansible.builtin.copy:
        content: "{{ judged.results | map(attribute='failures') | to_json }}"
        dest: "{{ lookup('ansible.builtin.env', 'KEPT') }}"
        mode: "0600"
      delegate_to: asker
"""


def test_health_check_that_cannot_run_counts_as_failed(tmp_path):
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "play.yml").write_text(PLAY)
    kept = tmp_path / "kept.json"
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "KEPT": str(kept),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    gone, no_python, no_scheduler, no_ca, bad_argument, not_asked = json.loads(kept.read_text())
    unasked = "The health of the cluster could not be checked, so this change counts as failed. "
    assert "127.0.0.1" in gone[0] and gone[0].startswith(unasked)
    assert no_python[0].startswith(unasked) and "/nonexistent/python3" in no_python[0]
    assert no_ca[0].startswith(unasked) and "/nonexistent/ca.pem" in no_ca[0]
    assert bad_argument[0].startswith(unasked) and "interval" in bad_argument[0]
    assert "unhealthy" in no_scheduler[0] and not no_scheduler[0].startswith(unasked)
    assert not_asked == []
