# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build wheels of packages that exist only as source, once, on the controller."""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import Requirement, parse_wheel_filename
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.git import check_out, reference
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    PackagesError,
    described,
    identity,
    is_git,
    minor,
    redacted,
    requirement_of,
    shown,
    wheel_tags,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.pip import run_pip
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins

#: Part of the id of an environment with packages that were built. Increase it when the way they are built changes.
BUILDS = 1

#: The time of the files in a wheel, so that the same build gives the same wheel: 1980, the first year of zip.
_EPOCH = "315532800"


def built_wheel(cache: str, line: str, own: Mapping[str, Any]) -> str | None:
    """Return the path of the wheel that was built from the source in a line of a lock; None if it was not built.

    Parameters
    ----------
    cache : str
        Directory on the controller.
    line : str
        A line of `select`.
    own : dict
        The controller's interpreter, in the form of `host_info`.
    """
    return next(iter(glob.glob(f"{glob.escape(_directory(cache, line, own))}/*.whl")), None)


def _directory(cache: str, line: str, own: Mapping[str, Any]) -> str:
    """Return the directory of the wheel of a line, which is named by its source and the interpreter that builds it."""
    builder = [own["implementation"], minor(own["version"]), own["machine"], list(own["libc"])]
    return os.path.join(cache, "wheels", f"{requirement_of(line).name}-{digest([BUILDS, identity(line), builder])}")


def build_wheel(
    line: str,
    options: Sequence[str],
    cache: str,
    index_url: str,
    python: Mapping[str, Any],
    own: Mapping[str, Any],
) -> str:
    """Return the path of the wheel of a package; build it from its source if ``cache`` does not have it.

    Parameters
    ----------
    line : str
        A line of `select`, whose hash or commit is checked before anything of it runs.
    options : list of str
        Options of the lock that say where packages come from.
    cache, index_url : str
        As for `Packages.fetch`.
    python, own : dict
        The interpreters of the hosts and of the controller, in the form of `host_info`.

    Raises
    ------
    PackagesError
        If the source cannot be fetched or built, or the wheel is not for the hosts.
    """
    wheel = built_wheel(cache, line, own)
    if not wheel:
        final = _directory(cache, line, own)
        os.makedirs(os.path.dirname(final), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(final)) as directory:
            begins(f"building {requirement_of(line).name} from its source")
            _build(line, options, directory, index_url, own)
            os.rename(os.path.join(directory, "wheel"), final)
        wheel = built_wheel(cache, line, own)
    if not wheel:
        raise PackagesError(f"The build of {line} left no wheel")
    _check_target(wheel, python, own)
    return wheel


def _build(line: str, options: Sequence[str], directory: str, index_url: str, own: Mapping[str, Any]) -> None:
    """Fetch and build the source of a line; ``directory/wheel`` then contains the wheel."""
    requirement = requirement_of(line)
    name, wheels = requirement.name, os.path.join(directory, "wheel")
    checks = ["--require-hashes", f"--no-binary={name}"]
    if is_git(requirement.url):
        project = check_out(name, reference(name, str(requirement.url)), os.path.join(directory, "source"))
        line, checks = f"{name} @ {Path(project).as_uri()}", []
    wanted = os.path.join(directory, "wanted.txt")
    with open(wanted, "w", encoding="utf-8") as file:
        file.write("\n".join([*options, line, ""]))
    # Not from pip's own cache: what is built must be what the lock names.
    arguments = [
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        *checks,
        "--wheel-dir",
        wheels,
        "--requirement",
        wanted,
    ]
    done = run_pip(arguments, index_url, {"SOURCE_DATE_EPOCH": _EPOCH})
    if done.returncode != 0:
        raise PackagesError(redacted(_reason(requirement, done.stderr + done.stdout, own)))


def _reason(requirement: Requirement, errors: str, own: Mapping[str, Any]) -> str:
    """Return the reason why a package could not be built."""
    name = requirement.name
    # The packages that a build needs can have hashes, too.
    if "DO NOT MATCH THE HASHES" in errors and "build dependencies" not in errors:
        return (
            f"{name} does not match its hash in the lock: find out why before you use it, and make the lock again if "
            "the file on the index is right"
        )
    wrong = re.search(r"requires a different Python: \S+ not in '?(.+?)'?$", errors, re.MULTILINE)
    if wrong:
        return (
            f"{name} needs Python {wrong[1]} to be built, not {own['version']}, which Ansible runs with: run Ansible with "
            "another Python, or build the wheel elsewhere and write the wheel's path in requirements.in"
        )
    if not requirement.url and f"No matching distribution found for {name}" in errors:
        return (
            f"the index has no source of {requirement}, which dask_environment_build names: remove {name} from that list if "
            "it has wheels, or correct the index"
        )
    if "(unavailable)" in errors:
        return f"the source of {name} makes a wheel of another name or version than the lock says: make the lock again"
    lines = [text.strip() for text in errors.splitlines() if text.strip() and "[notice]" not in text]
    return (
        f"{name} could not be built on the controller: {' '.join(lines[-12:])}. Install what the build needs "
        "there, or build the wheel elsewhere and write the wheel's path in requirements.in"
    )


def _check_target(wheel: str, python: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise PackagesError if hosts cannot use a wheel that was built on the controller."""
    name, *dummy, tags = parse_wheel_filename(os.path.basename(wheel))
    usable = [tag for tag in tags if str(tag) in wheel_tags(python)]
    # A wheel for "linux" needs the C library that it was built with, or a newer one.
    older = own["libc"][0] != python["libc"][0] or _numbers(python["libc"][1]) < _numbers(own["libc"][1])
    if not usable or (older and all(tag.platform.startswith("linux_") for tag in usable)):
        raise PackagesError(
            f"{name} is compiled for the controller when it is built ({shown(os.path.basename(wheel))}: {described(own)}), "
            f"and hosts have {described(python)}: run Ansible where Python and platform are those of the hosts, or build "
            "the wheel on a host and write the wheel's path in requirements.in"
        )


def _numbers(version: str) -> list[int]:
    """Return the numbers of a version of a C library."""
    return [int(part) for part in re.findall(r"\d+", version)]
