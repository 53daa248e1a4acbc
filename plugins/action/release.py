# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a host's release on the controller and ship it whole, in one module execution."""

from __future__ import annotations

import json
import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    is_secret,
    manifest_text,
    tree_digest,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import is_staged
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import (
    ROOT,
    checks,
    pool_settings,
    services,
    user_environment_variables,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import files as release_files
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.manifest import digest, make_manifest, units_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        # What was seen is much, and has no vaulted texts in it.
        arguments = plain({name: value for name, value in self._task.args.items() if name != "seen"})
        seen = self._task.args.get("seen", {})
        settings, kinds, plan = Settings.of(arguments["settings"]), arguments["kinds"], arguments["plan"]
        variables = user_environment_variables(settings, kinds)
        files = _merged(file for entry in release_files(settings, kinds, plan) for file in self._read(entry, task_vars))
        manifest = make_manifest(arguments["environment"], files, services(kinds, plan), plan["ports"], settings.tls)
        for service, about in manifest["services"].items():
            # Read by systemd when the service starts: what a process reports is what it was started from.
            content = f"DASKOPS_RELEASE={about['release']}\n"
            files.append({"path": f"services/{service}.release", "content": content})
        module_arguments = {
            "home": arguments["home"],
            "manifest": manifest,
            "environment_built": arguments.get("environment_built", False),
            "staged": arguments["staged"],
            "files": {file["path"]: file["content"] for file in files if not is_secret(file["path"])},
            "check": checks(settings, kinds),
            "trial": arguments.get("trial", False),
            # One text: Ansible hides what may not be shown wherever it finds it, and short values are found everywhere.
            "variables": json.dumps(variables, default=str),
            "user": arguments["user"],
            # Apart, so that Ansible shows them at no verbosity.
            "secret_files": {file["path"]: file["content"] for file in files if is_secret(file["path"])},
        }
        shipped = {
            **module_arguments["files"],
            **module_arguments["secret_files"],
            "manifest.json": manifest_text(manifest),
        }
        environment = os.path.join(arguments["home"], "environments", arguments["environment"])
        if is_staged(seen, tree_digest(shipped, environment)):
            result.update(changed=False, untried=[])
        else:
            result.update(
                self._execute_module("daskops.cluster.release", module_args=module_arguments, task_vars=task_vars)
            )
        if result.get("failed"):
            return result
        present = arguments.get("present", {})
        if arguments["environment"] in present and result.get("changed"):  # else the module environment has shown it
            before = present.get(arguments.get("current", ""), {}).get("packages", {})
            after = present[arguments["environment"]].get("packages", {})
            result["diff"] = [*package_differences(before, after), *result.get("diff", [])]
        result["id"], result["environment"] = manifest["id"], manifest["environment"]
        if any(unit.startswith("dask-worker@") for unit in result["untried"]):
            result["settings"] = {
                prefix: digest(json.loads(json.dumps([pool, variables[f"{prefix}environment_variables"]], default=str)))
                for prefix, pool in pool_settings(settings).items()
            }
        # What the roles that activate the release need, which in check mode is not on the host yet.
        kinds = sorted({about["kind"] for about in manifest["services"].values()})
        result["services"] = {
            kind: {name: about["release"] for name, about in manifest["services"].items() if about["kind"] == kind}
            for kind in kinds
        }
        result["units"] = {kind: units_of(files, kind) for kind in kinds}
        return result

    def _read(self, entry, task_vars):
        """The files that one entry of `release_files` stands for: path, content, kinds, kind and service."""
        about = {"kinds": list(entry.kinds), "kind": entry.kind, "service": entry.service}
        if entry.template:
            yield {"path": entry.path, "content": self._render(entry, task_vars), **about}
            return
        if not os.path.exists(entry.source):
            raise AnsibleActionFail(f"{entry.source} does not exist on the controller.")
        for path, name in _walk(entry.source, entry.path):
            with open(path, encoding="utf-8") as file:
                yield {"path": name, "content": file.read(), **about}

    def _render(self, entry, task_vars):
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        template = os.path.join(ROOT, "roles", entry.template)
        return lookup.run([template], variables=_Variables(task_vars), template_vars=dict(entry.variables))[0]


class _Variables(dict):
    """All variables of a host, for a lookup that copies them before it adds a few: their values need not be copied."""

    def __deepcopy__(self, memo):
        return dict(self)


def _merged(files):
    """``files``, each once: one that several entries name is read by the kinds of all of them."""
    merged = {}
    for file in files:
        known = merged.setdefault(file["path"], file)
        if known["content"] != file["content"]:
            raise AnsibleActionFail(f"Two files of the release are called {file['path']}. Rename one of them.")
        known["kinds"] = sorted({*known["kinds"], *file["kinds"]})
    return list(merged.values())


def _walk(source, path):
    """Paths of the Python files in ``source``, a file or a directory, with their names below ``path``."""
    if os.path.isfile(source):
        yield source, os.path.join(path, os.path.basename(source))
        return
    for directory, directories, names in os.walk(source):
        directories[:] = sorted(set(directories) - {"__pycache__"})
        for name in sorted(names):
            if name.endswith(".py"):
                full = os.path.join(directory, name)
                yield full, os.path.join(path, os.path.relpath(full, source))
