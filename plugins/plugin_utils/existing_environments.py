# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the contents of environments that exist on hosts. Pure functions.

``about`` is what `host_info` returned of such an environment.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import OLDEST_PYTHON, PLAIN_PATH
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out

About = Mapping[str, Any]
ByHost = Mapping[str, Mapping[str, Any]]

# Part of the id of every environment. Increase it when the files on hosts change for the same environment.
RECIPE = 1

#: Number of packages that a sentence names.
NAMED = 10


def contents(about: About) -> dict[str, str]:
    """Return the version by name of everything that decides what an environment does: Python, and all packages."""
    return {
        "Python": f"{about['implementation']} {about['python']}",
        **about["packages"],
        **{f"{one['name']} of conda": f"{one['version']} {one['build']}" for one in conda_packages(about)},
    }


def fingerprint(about: About) -> str:
    """Return a name of the contents of an environment."""
    return digest(contents(about), 32)


def conda_packages(about: About) -> list[dict[str, str]]:
    """Return the packages of conda in the form of a bill of materials."""
    unknown = dict.fromkeys(("subdir", "channel", "sha256", "license"), "")
    found = []
    for name in about["conda"]:
        package, version, build = name.rsplit("-", 2) if name.count("-") >= 2 else (name, "", "")
        found.append({"name": package, "version": version, "build": build, **unknown})
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the names whose versions differ, with both versions, as text."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    listed = [f"{name} {after.get(name, 'missing')} (was {before.get(name, 'missing')})" for name in names[:NAMED]]
    return ", ".join([*listed, *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])


def unusable(host: str, where: str, about: About) -> Iterator[str]:
    """Yield a sentence if a host cannot use an environment. ``where`` names the variable and its value."""
    if about["changeable"]:
        yield (
            f"{host}: {where} is not safe: dask_user can change {about['changeable']}, which the services would run. Let "
            "another user own it, without permission for dask_user to write."
        )
    elif about["problem"]:
        yield f"{host}: {where} cannot be used: {about['problem']}. Make it usable for dask_user, or name another directory."
    elif about["implementation"] != "cpython" or tuple(map(int, about["python"].split(".")[:2])) < OLDEST_PYTHON:
        least = ".".join(map(str, OLDEST_PYTHON))
        yield (
            f"{host}: {where} has {about['implementation']} {about['python']}; Dask needs CPython {least} or newer. Name an "
            "environment with a newer one."
        )
    elif not {"dask", "distributed"} <= about["packages"].keys():
        yield f"{host}: {where} does not contain dask and distributed, which the services run. Install them there."
    elif not all(PLAIN_PATH.fullmatch(about[name]) for name in ("prefix", "base_prefix")):
        yield (
            f"{host}: {where} is in '{about['prefix']}', with the interpreter of '{about['base_prefix']}'. Name an "
            "environment in a path of letters, digits and the characters . _ - + @"
        )


def differing_contents(path: str, infos: ByHost) -> Iterator[str]:
    """Yield a sentence for each host whose environment differs from that of most other hosts.

    Parameters
    ----------
    path : str
        Value of ``dask_environment_path``; empty for none.
    infos : dict of dict
        Results of `host_info`, by host.
    """
    abouts = {host: info["environment_paths"][path] for host, info in infos.items() if path}
    common, odd = odd_ones_out({host: tuple(sorted(contents(about).items())) for host, about in abouts.items()})
    for host, found in sorted(odd.items()):
        names = sorted({name for name, dummy in set(found) ^ set(common)})
        listed = [
            f"{name} {dict(found).get(name, 'missing')} (others: {dict(common).get(name, 'missing')})"
            for name in names[:NAMED]
        ]
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        yield (
            f"{host}: dask_environment_path ({path}) has other packages than on the other hosts: "
            f"{', '.join([*listed, *more])}. Install the same versions everywhere, or name a directory that all hosts share."
        )


def prefixes(path: str, about: About) -> list[str]:
    """Return the directories that an environment needs, none below another one."""
    found: list[str] = []
    for directory in sorted({posixpath.normpath(one) for one in (path, about["prefix"], about["base_prefix"])}):
        if directory != "/" and not any(directory.startswith(f"{one}/") for one in found):
            found.append(directory)
    return found


def drift(infos: ByHost, releases: ByHost) -> list[str]:
    """Return the sentences about environments whose packages changed after the release of a host was made.

    Parameters
    ----------
    infos, releases : dict of dict
        Result of `host_info`, and the release that the host runs after this run, by host.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for host, info in infos.items():
        environment = info.get("environments", {}).get(releases.get(host, {}).get("environment", ""), {})
        path = environment.get("path", "")
        about = info.get("environment_paths", {}).get(path)
        if not about:
            continue
        if about["changeable"] or about["problem"]:
            said = (
                f"cannot be used any more: {about['problem'] or about['changeable'] + ' can be changed by dask_user'}"
            )
            found.setdefault((path, said), []).append(host)
        elif fingerprint(about) != environment.get("fingerprint"):
            before = {"Python": environment["python"], **environment["packages"]}
            after = {"Python": about["python"], **about["packages"]}
            said = differences(before, after) or "packages of conda"
            found.setdefault((path, f"has other packages than the services were started with: {said}"), []).append(host)
    return [
        f"The environment {path} {said}, on {join(hosts)}. Run site.yml, which restarts the services with what is there now."
        for (path, said), hosts in sorted(found.items())
    ]


def changed_in_place(infos: ByHost, targets: ByHost) -> Iterator[str]:
    """Yield a sentence if hosts cannot return to a release, because its environment has other packages now."""
    changing = {host: target for host, target in targets.items() if target["id"] != infos[host]["current"]["id"]}
    hosts = sorted(host for host, target in changing.items() if drift({host: infos[host]}, {host: target}))
    if hosts:
        yield (
            f"{', '.join(hosts)}: the packages of the previous release were changed in their directory, and a rollback "
            "cannot restore them. Install the old versions there, or revert your variables and run site.yml."
        )
