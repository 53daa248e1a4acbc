# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the release of a host: its files, its manifest, and its id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    is_secret,
    links_of,
    manifest_text,
    tree_digest,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest, make_manifest, units_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Environment, Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import (
    Plan,
    dashboard_of,
    files,
    pool_settings,
    services,
)


@dataclass(frozen=True)
class Release:
    """A release of a host.

    Parameters
    ----------
    manifest : dict
        See `make_manifest`.
    files : dict of str
        Content by relative path, without the manifest.
    units : dict of dict
        Content of the unit files, by kind and path below systemd's directory.
    pools : dict of str
        Digest of each pool's settings, by the prefix of the names of its settings. Pools with the same digest need only one
        trial.
    """

    manifest: dict[str, Any]
    files: dict[str, str] = field(repr=False)
    units: dict[str, dict[str, str]]
    pools: dict[str, str]

    @property
    def id(self) -> str:
        """Return the id of the release."""
        return str(self.manifest["id"])

    @property
    def services(self) -> dict[str, dict[str, str]]:
        """Releases of the services, by kind and name of the unit."""
        about = self.manifest["services"]
        return {
            kind: {unit: one["release"] for unit, one in about.items() if one["kind"] == kind} for kind in self.units
        }

    def content(self, home: str) -> str:
        """Return a digest of all files of the release on a host; see `tree_digest`."""
        shipped = {**self.files, "manifest.json": manifest_text(self.manifest)}
        return tree_digest(shipped, links_of(home, self.manifest["environment"], self.manifest["application"]))

    def described(self) -> dict[str, Any]:
        """Return the release in the form of `host_info`."""
        return {
            "id": self.id,
            "environment": self.manifest["environment"],
            "application": self.manifest["application"],
            "label": self.manifest["label"],
            "services": self.services,
        }


def release_of(
    settings: Settings, kinds: Iterable[str], plan: Plan, environment: Environment, application: str
) -> Release:
    """Return the release of a host.

    Parameters
    ----------
    settings : Settings
        Settings of the host.
    kinds : iterable of str
        Kinds of the host's services.
    plan : dict
        Result of `host_plan.plan_host` for the host.
    environment : Environment
        The host's environment.
    application : str
        Id of the application; empty for none.

    Raises
    ------
    ValueError
        If two files would have the same path, or a file does not exist on the controller.
    """
    kinds = list(kinds)
    made = [vars(file) for file in files(settings, kinds, plan, environment)]
    by_unit = services(kinds, plan)
    dashboard = dashboard_of(settings) if "scheduler" in kinds else ""
    manifest = make_manifest(
        environment.id, application, settings.release_label, made, by_unit, plan["ports"], settings.tls, dashboard
    )
    content = {file["path"]: file["content"] for file in made}
    for unit, about in manifest["services"].items():
        # systemd reads this file when the service starts, so each process reports the release from which it was started.
        lines = [f"DASKOPS_RELEASE={about['release']}"]
        if settings.release_label and about["kind"] == "worker":
            lines.append(f"DASKOPS_RELEASE_LABEL={settings.release_label}")
        content[f"services/{unit}.release"] = "\n".join([*lines, ""])
    variables = {name: pool["environment_variables"] for name, pool in settings.pools.items()}
    pools = {
        prefix: digest([repr(about), repr(variables[name])])
        for name, (prefix, about) in zip(settings.pools, pool_settings(settings).items())
    }
    return Release(manifest, content, {kind: units_of(made, kind) for kind in sorted(set(by_unit.values()))}, pools)


def shipped(release: Release) -> dict[str, dict[str, str]]:
    """Return ``files`` and ``secret_files`` for the module `stage_release`. Ansible does not show the latter."""
    return {
        "files": {path: content for path, content in release.files.items() if not is_secret(path)},
        "secret_files": {path: content for path, content in release.files.items() if is_secret(path)},
    }
