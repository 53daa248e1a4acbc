# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection of a host that cannot be reached."""

import subprocess


def test_unreachable_optional_host_causes_a_warning(tmp_path):
    (tmp_path / "hosts").write_text("here ansible_connection=local\ndead ansible_host=127.0.0.1 ansible_port=1\n")
    (tmp_path / "play.yml").write_text(
        "- hosts: here\n  gather_facts: false\n  any_errors_fatal: true\n  tasks:\n"
        "    - daskops.cluster.host_info: {home: /opt/dask, user: dask, optional: '{{ optional }}'}\n"
        "      delegate_to: dead\n      run_once: true\n      register: look\n"
        "    - debug: {msg: 'known: {{ look.running is defined }}'}\n"
    )
    command = ["ansible-playbook", "-i", str(tmp_path / "hosts"), str(tmp_path / "play.yml"), "-e"]
    done = subprocess.run([*command, '{"optional": true}'], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "known: False" in done.stdout and "dead cannot be reached" in done.stderr
    assert subprocess.run([*command, '{"optional": false}'], capture_output=True, check=False).returncode != 0
