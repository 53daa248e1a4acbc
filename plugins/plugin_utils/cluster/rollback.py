# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the release that each host ran before the latest change, which is the target of a rollback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.release_names import name_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out


def is_halfway(info: Mapping[str, Any]) -> bool:
    """Return whether a rollback of a host was interrupted, so that some services do not run its current release."""
    services = {unit: release for kind in info["current"]["services"].values() for unit, release in kind.items()}
    runs = {unit: release for unit, release in info["running"].items() if release and unit in services}
    return bool(info["unfinished"]) and (not runs or any(services[unit] != release for unit, release in runs.items()))


def packages_of(info: Mapping[str, Any], release: Mapping[str, Any]) -> Any:
    """Return the packages of the environment of a release, or the environment's id if they are not known."""
    packages = info.get("environments", {}).get(release["environment"], {}).get("packages")
    return tuple(sorted(packages.items())) if packages else release["environment"]


def code_of(release: Mapping[str, Any]) -> str:
    """Return the environment of a release, and its application if it has one."""
    return f"{release['environment']}{', application ' if release['application'] else ''}{release['application']}"


def rollback_targets(hosts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Return the release to which each host is rolled back.

    Parameters
    ----------
    hosts : dict
        Result of `host_info` by host.

    Returns
    -------
    tuple of (dict, list of str)
        Release by host, in the form of `host_info`, and the problems that prevent the rollback.
    """
    missing = sorted(host for host, info in hosts.items() if not info["current"])
    if missing:
        return {}, [f"{', '.join(missing)}: no release is installed. Exclude them with --limit, or run site.yml first."]
    changed = [info["current"]["staged"] for info in hosts.values() if info["previous"]]
    # Finish an interrupted rollback first.
    changed += [info["unfinished"] for info in hosts.values() if is_halfway(info)]
    if not changed:
        return {}, ["No host has a previous release. Revert your variables and run site.yml."]
    # A rollback reverts one change of the whole cluster. Hosts that this change did not affect keep their release.
    latest = max(changed)
    targets = {
        host: info["previous"] if info["previous"] and info["current"]["staged"] == latest else info["current"]
        for host, info in hosts.items()
    }
    # Compare packages, because the name of an environment also depends on the path of the interpreter.
    code = {host: (packages_of(hosts[host], release), release["application"]) for host, release in targets.items()}
    odd = odd_ones_out(code)[1]
    if odd:
        (common, *dummy) = (code_of(targets[host]) for host in targets if host not in odd)
        names = ", ".join(f"{host} ({code_of(targets[host])})" for host in sorted(odd))
        return {}, [
            f"After a rollback, these hosts would have a different environment or application: {names}; the others would "
            f"have {common}. Revert your variables and run site.yml, or exclude these hosts with --limit."
        ]
    lacking = sorted(
        host for host, release in targets.items() if hosts[host]["current"]["services"].keys() - release["services"]
    )
    if lacking:
        return {}, [
            f"{', '.join(lacking)}: the previous release has no scheduler or no worker, but the current one has. "
            "Revert your variables and run site.yml."
        ]
    return targets, []


def rollback_report(hosts: Mapping[str, Mapping[str, Any]], targets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield lines with the current release and the target of each host. ``targets`` has the latter by host."""
    changing = {
        host: (info["current"], targets[host])
        for host, info in sorted(hosts.items())
        if info["current"]["id"] != targets[host]["id"]
    }
    yield "This run reverts the latest change:" if changing else "This run finishes an interrupted rollback."
    for host, (current, target) in changing.items():
        names = [name_of(release) for release in (current, target)]
        # Releases of one name differ only in settings of the host, such as the memory of its workers.
        change = " to ".join(names) if len(set(names)) > 1 else f"{names[0]}, previous settings of the host"
        line = f"{host}: release {change}"
        for kind in ("environment", "application"):
            ids = [release[kind] or "none" for release in (current, target)]
            line += f", {kind} {' to '.join(ids)}" if len(set(ids)) > 1 else ""
        yield line
    yield "Revert your variables, too. Otherwise the next run of site.yml repeats the change."
