# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release that each host ran before the latest change, to which a rollback returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out


def is_halfway(info: Mapping[str, Any]) -> bool:
    """Whether a host was on its way back: its current release is not yet what all of its services run."""
    services = {unit: release for kind in info["current"]["services"].values() for unit, release in kind.items()}
    runs = {unit: release for unit, release in info["running"].items() if release and unit in services}
    return bool(info["unfinished"]) and (not runs or any(services[unit] != release for unit, release in runs.items()))


def packages_of(info: Mapping[str, Any], release: Mapping[str, Any]) -> Any:
    """What tells the environment of a host's release from others: its packages, or its name where they are not known."""
    packages = info.get("environments", {}).get(release["environment"], {}).get("packages")
    return tuple(sorted(packages.items())) if packages else release["environment"]


def way_back(hosts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """The release that each host is to go back to.

    Parameters
    ----------
    hosts : dict
        Result of `host_info` by host.

    Returns
    -------
    tuple of (dict, list of str)
        Release by host, as `host_info` tells it, and what speaks against it.
    """
    missing = sorted(host for host, info in hosts.items() if not info["current"])
    if missing:
        return {}, [
            f"{', '.join(missing)}: no release is installed. Leave them out with --limit, or run site.yml first."
        ]
    changed = [info["current"]["staged"] for info in hosts.values() if info["previous"]]
    # A way back that was cut off is finished first.
    changed += [info["unfinished"] for info in hosts.values() if is_halfway(info)]
    if not changed:
        return {}, ["No host has kept a release to go back to. Set the variables back and run site.yml."]
    # Hosts that changed earlier, or that went back already, stay: one change is taken back, not one for each host.
    latest = max(changed)
    targets = {
        host: info["previous"] if info["previous"] and info["current"]["staged"] == latest else info["current"]
        for host, info in hosts.items()
    }
    # By their packages: hosts whose interpreters are at different places have environments of different names.
    common, odd = odd_ones_out({host: packages_of(hosts[host], release) for host, release in targets.items()})
    if odd:
        (common, *dummy) = (targets[host]["environment"] for host in targets if host not in odd)
        names = ", ".join(f"{host} ({targets[host]['environment']})" for host in sorted(odd))
        return {}, [
            f"After going back the hosts would have different environments: {names}; the others {common}. They changed, "
            "or joined, at another time. Set the variables back and run site.yml, or leave hosts out with --limit."
        ]
    lacking = sorted(
        host for host, release in targets.items() if hosts[host]["current"]["services"].keys() - release["services"]
    )
    if lacking:
        return {}, [
            f"{', '.join(lacking)}: before the latest change there was no scheduler, or no worker, where there is one now. "
            "Set the variables back and run site.yml."
        ]
    return targets, []


def told(hosts: Mapping[str, Mapping[str, Any]], targets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What goes back to what, in lines for people; ``targets`` has the release by host."""
    changing = {
        host: (info["current"], targets[host])
        for host, info in sorted(hosts.items())
        if info["current"]["id"] != targets[host]["id"]
    }
    yield "The latest change is taken back:" if changing else "The way back that was begun is finished."
    for host, (current, target) in changing.items():
        environments = [release["environment"] for release in (current, target)]
        other = f", environment {' to '.join(environments)}" if len(set(environments)) > 1 else ""
        yield f"{host}: release {current['id']} to {target['id']}{other}"
    yield "Set the variables back, too: with those of now, site.yml makes the change again."
