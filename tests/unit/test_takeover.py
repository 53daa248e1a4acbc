# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking over a host that an earlier version provisioned, without a restart and with its history.

``recordings/earlier-host.json`` holds the files that the modules of that version wrote: the current change, the previous
one, and one that was staged and tried but not activated. ``answers`` holds what that version reported about the host.
"""

import contextlib
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.module_utils import takeover
from ansible_collections.daskops.cluster.plugins.module_utils.history import current_release, read_history
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    is_secret,
    read_releases,
    read_units,
    started_services,
)
from ansible_collections.daskops.cluster.plugins.module_utils.units import kind_of
from ansible_collections.daskops.cluster.plugins.modules import stage_release as release_module
from ansible_collections.daskops.cluster.plugins.modules.change_services import ports_of
from ansible_collections.daskops.cluster.plugins.modules.inspect_host import described, unfinished
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import make_manifest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rollback import rollback_targets
from killed import killed_at
from machine import WORKERS, Machine

RECORDING = json.loads((Path(__file__).parent / "recordings/earlier-host.json").read_text())
ANSWERS = RECORDING["answers"]
CURRENT = ANSWERS["current"]
# The earlier version had no applications and no labels.
for release in (CURRENT, ANSWERS["previous"], *ANSWERS["releases"].values()):
    release.update(application="", label="")
BOOT = {"scheduler": "dask-scheduler.service", "worker": "dask-workers.target"}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return the recorded host with running services."""
    machine = Machine(tmp_path, monkeypatch, releases=())
    for part, files in {"home": RECORDING["home"], "systemd": RECORDING["systemd"]}.items():
        for name, about in files.items():
            path = tmp_path / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "link" in about:
                path.symlink_to(about["link"].replace("@", str(tmp_path)))
            else:
                path.write_text(about["content"])
                path.chmod(about["mode"])
                os.utime(path, (about["mtime"], about["mtime"]))
    machine.systemctl("enable", *BOOT.values())
    machine.systemctl("start", *(unit for kind in CURRENT["services"].values() for unit in kind))
    machine.asked()
    yield machine
    machine.close()


def kinds_of(path):
    """Return the kinds of services that read a file of the recorded releases, and the single service it belongs to."""
    name = path.split("/")[1].partition(".d")[0].removesuffix(".env") if "/" in path else ""
    if path == "run.sh":
        return ["scheduler", "worker"], None
    if path.startswith("services/"):
        return [kind_of(name)], name
    if path == "systemd/dask-workers.target":
        return [], None
    own = f"{name}" if path.endswith("daskops.conf") else None
    return ["scheduler" if "scheduler" in path else "worker"], own


def tree_of(name):
    """Return the contents of the files of a recorded release, without its manifest."""
    prefix = f"releases/{name}/"
    files = {path[len(prefix) :]: about for path, about in RECORDING["home"].items() if path.startswith(prefix)}
    return {path: about["content"] for path, about in files.items() if "content" in about and path != "manifest.json"}


def manifest_of(name):
    """Return the manifest that the present version makes for the same files and ports."""
    files = []
    for path, content in tree_of(name).items():
        if not path.endswith(".release"):
            kinds, service = kinds_of(path)
            kind = "scheduler" if "scheduler" in path else "worker"
            files.append({"path": path, "content": content, "kinds": kinds, "kind": kind, "service": service})
    services = {unit: kind for kind, units in CURRENT["services"].items() for unit in units}
    ports = [{"port": port, "unit": "dask-scheduler.service"} for port in (8786, 8787)]
    ports += [{"port": first + n, "unit": unit} for n, unit in enumerate(WORKERS) for first in (8800, 8900, 9000)]
    return make_manifest(CURRENT["environment"], "", "", files, services, ports, True)


def stage(machine, name):
    """Stage a release with the content of a recorded one; return the module's result."""
    tree = tree_of(name)
    arguments = {
        "home": str(machine.home),
        "manifest": manifest_of(name),
        "staged": 1_800_000_000,
        "files": {path: content for path, content in tree.items() if not is_secret(path)},
        "secret_files": {path: content for path, content in tree.items() if is_secret(path)},
        "user": "nobody",
    }
    output = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        release_module.main()
    return json.loads(output.getvalue())


def activate(machine, name, **options):
    """Activate a release for both kinds of services; return the module's results."""
    return [machine.run(name, kind=kind, **options) for kind in BOOT]


def told(machine):
    """Return the host's releases and their units, as `host_info` reports them."""
    home = str(machine.home)
    releases = read_releases(home)
    current = releases[current_release(home)]

    def with_units(release):
        return {**described(home, release), "units": read_units(home, release)} if release else {}

    return {
        "current": with_units(current),
        "previous": with_units(releases.get(current["previous"], {})),
        "unfinished": unfinished(current, releases),
        "running": {unit: process.partition("=")[2] for unit, process in machine.state()["processes"].items()},
    }


def test_host_is_reported_as_by_the_earlier_version(machine):
    home = str(machine.home)
    services = {unit: release for kind in CURRENT["services"].values() for unit, release in kind.items()}
    assert told(machine) == {key: {**ANSWERS, "running": services}[key] for key in told(machine)}
    releases = read_releases(home)
    keys = CURRENT.keys() - {"units"}
    assert {name: {key: about[key] for key in keys} for name, about in releases.items()} == ANSWERS["releases"]
    assert releases[CURRENT["id"]]["tls"] == ANSWERS["encrypted"]
    assert {str(port) for port in ports_of(releases[CURRENT["id"]], WORKERS)} == set(ANSWERS["ports"])
    abandoned = next(
        change for change in RECORDING["changes"] if change["id"] not in (CURRENT["id"], ANSWERS["previous"]["id"])
    )
    services = {unit: release for kind in abandoned["services"].values() for unit, release in kind.items()}
    known = set(started_services(read_releases(home)))
    assert sorted(unit for unit, release in services.items() if release not in known) == ANSWERS["untried_c"]


def test_same_files_give_the_same_release_ids():
    for change in RECORDING["changes"]:
        manifest = manifest_of(change["id"])
        assert manifest["id"] == change["id"]
        releases = {unit: release for kind in change["services"].values() for unit, release in kind.items()}
        assert {unit: about["release"] for unit, about in manifest["services"].items()} == releases


def test_completed_manifest_equals_a_new_one(machine):
    for change in RECORDING["changes"]:
        path = machine.home / "releases" / change["id"]
        old = json.loads((path / "manifest.json").read_text())
        assert not old.keys() & {"ports", "tls", "units"}
        assert takeover.completed_manifest(str(path), old) == manifest_of(change["id"])


def test_next_run_takes_over_the_host_without_a_restart(machine):
    before, processes = told(machine), machine.state()["processes"]
    assert not stage(machine, CURRENT["id"]).get("failed")
    for answer in activate(machine, CURRENT["id"]):
        assert not answer["changed"] and answer["restarted"] == answer["removed"] == []
    assert machine.asked() == []
    assert machine.state()["processes"] == processes and machine.state()["files"] == []
    # A run that wants the current release abandons the change that was not activated.
    assert told(machine) == {**before, "unfinished": 0}
    assert (machine.home / "history.json").exists()
    assert not stage(machine, CURRENT["id"])["changed"]
    # After the takeover, links and modification times are not used.
    for link in [
        path for path in machine.home.rglob("releases/*/*") if path.is_symlink() and path.name != "environment"
    ]:
        link.unlink()
    for manifest in machine.home.glob("releases/*/manifest.json"):
        os.utime(manifest)
    assert told(machine) == {**before, "unfinished": 0}


def test_host_that_was_taken_over_is_rolled_back(machine):
    previous = ANSWERS["previous"]
    stage(machine, CURRENT["id"])
    targets, problems = rollback_targets({"host": told(machine)})
    assert not problems and targets["host"] == previous
    scheduler, workers = activate(machine, previous["id"], back=True)
    assert scheduler["restarted"] == [] and workers["restarted"] == WORKERS
    assert told(machine)["current"] == previous and told(machine)["previous"] == {}
    assert rollback_targets({"host": told(machine)})[1]


def test_rollback_works_without_an_earlier_run(machine):
    previous = ANSWERS["previous"]
    activate(machine, previous["id"], back=True)
    assert told(machine)["current"] == previous
    assert read_history(str(machine.home)).releases[CURRENT["id"]].previous == previous["id"]


def test_killed_takeover_is_completed_by_the_next_run(machine):
    kept = machine.root / "kept-home"
    shutil.copytree(machine.home, kept, symlinks=True)
    before, number = told(machine), 0
    while killed_at(number, machine.home, lambda: stage(machine, CURRENT["id"])):
        now = told(machine) if (machine.home / "releases" / CURRENT["id"]).exists() else None
        # Between two renames the release does not exist. No other data may be missing at any point.
        assert now is None or {**now, "unfinished": before["unfinished"]} == before
        assert not stage(machine, CURRENT["id"]).get("failed")
        assert not stage(machine, CURRENT["id"])["changed"]
        assert told(machine) == {**before, "unfinished": 0}
        shutil.rmtree(machine.home)
        shutil.copytree(kept, machine.home, symlinks=True)
        number += 1
    assert number > 10


@pytest.mark.parametrize(
    ("rules", "peers"),
    [
        ([], []),
        (["        # Hosts of the cluster: 10.0.0.0/31 fd00::1/128\n"], ["10.0.0.0/31", "fd00::1/128"]),
        (["", "<!-- Hosts of the cluster: 10.0.0.1/32 -->\n"], ["10.0.0.1/32"]),
        (["# Hosts of the cluster:\n"], []),
    ],
)
def test_peers_are_read_from_the_comment_in_the_rules(tmp_path, rules, peers):
    paths = [tmp_path / str(number) for number in range(len(rules))]
    for path, text in zip(paths, rules):
        path.write_text(text)
    assert takeover.old_peers([*map(str, paths), str(tmp_path / "none")]) == peers


@pytest.mark.parametrize(
    ("site", "port"),
    [("server {\n    listen 10.0.0.1:8443 ssl;\n}\n", 8443), ("    listen 443 ssl;\n", 443), ("", 0), (None, 0)],
)
def test_port_of_the_proxy_is_read_from_the_site(tmp_path, site, port):
    if site is not None:
        (tmp_path / "daskops.conf").write_text(site)
    assert takeover.old_proxy_port(str(tmp_path / "daskops.conf")) == port
