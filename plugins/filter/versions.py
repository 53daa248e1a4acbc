# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: versions
short_description: List the environments and releases of hosts
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Lists the environments and releases that the Dask services of hosts run, and the hosts of each release.
options:
  _input:
    description: Result of M(daskops.cluster.host_info), by host.
    type: dict
    required: true
  packages:
    description: Whether to list every host and the version of every package.
    type: bool
    default: false
seealso:
  - plugin: daskops.cluster.by_host
    plugin_type: filter
    description: Collects the results of several hosts.
"""

EXAMPLES = r"""
- name: List the versions that the hosts run
  ansible.builtin.debug:
    msg: "{{ infos | daskops.cluster.versions(packages=true) }}"
"""

RETURN = r"""
_value:
  description:
    - A line for each environment, followed by a line for each release in it.
    - With O(packages), a line for each package follows.
  type: list
  elements: str
  sample:
    - "Environment be4fe101595f: Python 3.11.2, lock dccc1d32c305."
    - Release bbfa829cb6ae (v1.4) on node1, node2.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.module_utils.release_names import with_label
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import origin_of, python_of


def versions(infos: Mapping[str, Mapping[str, Any]], packages: bool = False) -> list[str]:
    """Return a line for each environment, each release in it and, with ``packages``, each package."""
    found: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    applications: dict[tuple[Any, ...], dict[str, str]] = {}
    for host, info in infos.items():
        for about in info.get("versions", []):
            held = tuple(sorted(about["packages"].items()))
            environment = (about["id"], python_of(about), origin_of(about), held)
            releases = found.setdefault(environment, {})
            for release in about["releases"]:
                named = with_label(release, about["labels"].get(release))
                releases.setdefault(named, []).append(host)
                application = about["applications"].get(release)
                if application:
                    wheels = info["applications"].get(application, {}).get("packages", {})
                    listing = ", ".join(f"{wheel} {version}" for wheel, version in sorted(wheels.items()))
                    applications.setdefault(environment, {})[named] = f"{listing or 'unknown'} ({application})"
    lines = []
    for environment, releases in sorted(found.items()):
        name, python, origin, held = environment
        lines.append(f"Environment {name}: {python}, {origin}.")
        for release, on in sorted(releases.items()):
            application = applications.get(environment, {}).get(release, "")
            runs = f" with the application {application}" if application else ""
            lines.append(f"Release {release}{runs} on {_names(on, packages)}.")
        lines += [f"{package} {version}" for package, version in held] if packages else []
    return lines


def _names(hosts: list[str], every: bool) -> str:
    return ", ".join(hosts) if every else join(hosts)


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"versions": versions}
