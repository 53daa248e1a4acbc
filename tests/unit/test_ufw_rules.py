# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that opens ports in ufw, with a stand-in for its program that keeps its files. A scenario uses the real one."""

import contextlib
import io
import json
import os
import sys

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.modules import ufw_rules

STUB = """
import os, sys
root, words = os.environ["STUB_UFW"], sys.argv[1:]
with open(f"{root}/asked", "a") as log:
    log.write(" ".join(words) + "\\n")
if "10.66.0.0/16" in words:
    sys.exit("ERROR: problem running")
delete = words[0] == "delete"
del words[: int(delete)]
network, ports = words[4], words[8]
path, everywhere = (f"{root}/user6.rules", "::/0") if ":" in network else (f"{root}/user.rules", "0.0.0.0/0")
line = f"### tuple ### allow tcp {ports} {everywhere} any {network} in"
with open(path) as file:
    lines = [one for one in file.read().splitlines() if not one.startswith(line)]
if not delete:
    lines.append(f"{line} comment={words[10].encode().hex()}")
with open(path, "w") as file:
    file.write("\\n".join(lines) + "\\n")
"""
PORTS = [{"port": 8800, "clients": False}, {"port": 8900, "clients": True}]
NOBODY = {"ipv4": [], "ipv6": []}


def networks(*cluster, clients=()):
    return {"cluster": {"ipv4": list(cluster), "ipv6": ["fd00::/64"]}, "clients": {**NOBODY, "ipv4": list(clients)}}


@pytest.fixture
def ufw(tmp_path, monkeypatch):
    """Return a function that runs the module and returns its result and the commands that it ran."""
    (tmp_path / "ufw").write_text(f"#!{sys.executable} -IS\n{STUB}")
    (tmp_path / "ufw").chmod(0o755)
    (tmp_path / "user.rules").write_text("### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n")
    (tmp_path / "user6.rules").write_text("")
    (tmp_path / "defaults").write_text("IPV6=yes\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_UFW", str(tmp_path))
    monkeypatch.setattr(ufw_rules, "FILES", (str(tmp_path / "user.rules"), str(tmp_path / "user6.rules")))
    monkeypatch.setattr(ufw_rules, "UFW_DEFAULTS", str(tmp_path / "defaults"))

    def run(check_mode=False, **arguments):
        (tmp_path / "asked").write_text("")
        output = io.StringIO()
        given = {**arguments, "_ansible_check_mode": check_mode}
        with patch_module_args(given), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
            ufw_rules.main()
        return json.loads(output.getvalue()), (tmp_path / "asked").read_text().splitlines()

    run.root = tmp_path
    return run


def test_rules_are_added_once_and_removed(ufw):
    result, asked = ufw(ports=PORTS, networks=networks("10.0.0.0/24", clients=["10.1.0.0/16"]))
    assert (result["changed"], result["added"], result["removed"]) == (True, 3, 0)
    assert asked[0] == "allow proto tcp from 10.0.0.0/24 to any port 8800,8900 comment daskops.cluster"
    result, asked = ufw(ports=PORTS, networks=networks("10.0.0.0/24", clients=["10.1.0.0/16"]))
    assert (result["changed"], asked) == (False, [])
    result, asked = ufw(state="absent")
    assert result["removed"] == 3 and all(command.startswith("delete allow proto tcp from ") for command in asked)
    assert "any 0.0.0.0/0 in" in (ufw.root / "user.rules").read_text()
    assert ufw(state="absent")[0]["changed"] is False


def test_new_rules_come_before_old_ones_are_removed(ufw):
    ufw(ports=PORTS, networks=networks("10.0.0.0/25"))
    result, asked = ufw(ports=PORTS, networks=networks("10.0.0.0/24"))
    assert [command.split()[0] for command in asked] == ["allow", "delete"]
    assert result["diff"]["before"] != result["diff"]["after"]
    assert "10.0.0.0/24 to any port 8800,8900" in result["diff"]["after"] and "/25" not in result["diff"]["after"]


def test_check_mode_changes_nothing(ufw):
    result, asked = ufw(check_mode=True, ports=PORTS, networks=networks("10.0.0.0/24"))
    assert result["changed"] and asked == [] and "10.0.0.0/24" in result["diff"]["after"]


def test_own_rule_of_a_user_stays(ufw):
    rules = ufw.root / "user.rules"
    rules.write_text("### tuple ### allow tcp 8800,8900 0.0.0.0/0 any 10.0.0.0/24 in\n")
    result, asked = ufw(ports=PORTS, networks={"cluster": {**NOBODY, "ipv4": ["10.0.0.0/24"]}, "clients": NOBODY})
    assert (result["changed"], asked) == (False, [])
    assert ufw(state="absent")[1] == [] and "10.0.0.0/24" in rules.read_text()


def test_ipv6_is_left_to_those_who_filter_it(ufw):
    (ufw.root / "defaults").write_text("IPV6=no\n")
    assert ufw(ports=PORTS, networks=networks("10.0.0.0/24"))[0]["added"] == 1


def test_failure_of_ufw_is_reported(ufw):
    result, asked = ufw(ports=PORTS, networks=networks("10.66.0.0/16"))
    assert result["failed"] and "comment daskops.cluster failed: ERROR: problem running" in result["msg"]
    assert "set dask_firewall to another value" in result["msg"]
