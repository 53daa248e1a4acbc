# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin doctor_info does not believe a host that reports invalid values."""

from playbook_runs import ROOT, inventory, play
from test_diagnose import LOCAL


def test_invalid_values_are_a_finding(tmp_path):
    forged = tmp_path / "bin/ip"
    forged.parent.mkdir()
    link = '[{"ifname": "a", "mtu": 1, "addr_info": [{"local": "no address", "scope": "global"}]}]'
    forged.write_text(f"#!/bin/sh\necho '{link}'\n")
    forged.chmod(0o755)
    hosts = inventory(tmp_path, LOCAL.replace("DIRECTORY", str(tmp_path / "home")))
    path = {"PATH": f"{forged.parent}:/usr/bin:/bin:/usr/sbin:/sbin"}
    run = play(ROOT / "playbooks/doctor.yml", tmp_path, hosts, timeout=60, **path)
    said = "error [invalid-values] here: invalid values were reported: interfaces. "
    assert run.returncode != 0 and said in run.stdout, run.stdout + run.stderr
    assert "error [open-files] here: fs.nr_open is " in run.stdout  # the other values are judged
