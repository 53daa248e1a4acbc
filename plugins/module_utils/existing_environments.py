# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an environment that exists on a host, such as one of conda on a network file system.

Another program or an administrator owns the environment. So the collection never changes it, and runs its programs as the
services' user, never as root.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.daskops.cluster.plugins.module_utils.accounts import act_as, changeable
from ansible_collections.daskops.cluster.plugins.module_utils.directories import NOBODY
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable
from ansible_collections.daskops.cluster.plugins.module_utils.user_programs import (
    TIMEOUT,
    run,
    setup_problem,
    with_setup,
)

#: Interpreter of an environment.
PYTHON = "bin/python3"

#: Directory for the files of `with_setup`. Every user may read there, and only root may write.
DIRECTORY = "/run"

#: Prints what an environment contains. Of packages with the same name, the first one is imported.
PROBE = """
import importlib.metadata, json, os, platform, sys, sysconfig
found = {}
for one in importlib.metadata.distributions():
    if one.metadata["Name"] and one.version:
        found.setdefault(one.metadata["Name"].lower(), one)
meta = os.path.join(sys.prefix, "conda-meta")
conda = [name[:-5] for name in os.listdir(meta) if name.endswith(".json")] if os.path.isdir(meta) else []
installers = {name: one.read_text("INSTALLER") or "" for name, one in found.items()} if conda else {}
print(json.dumps({
    "python": platform.python_version(),
    "implementation": sys.implementation.name,
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "places": sorted({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}),
    "packages": {name: one.version for name, one in found.items()},
    "conda": sorted(conda),
    "by_conda": sorted(name for name, text in installers.items() if text.strip() == "conda"),
}))
"""

#: What is returned of an environment that was not run.
UNKNOWN: Mapping[str, Any] = {
    "changeable": "",
    "problem": "",
    "python": "",
    "implementation": "",
    "prefix": "",
    "base_prefix": "",
    "packages": {},
    "conda": [],
    "by_conda": [],
}

NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
VERSION = re.compile(r"[\w.+!-]+", re.ASCII)
#: Version of an interpreter.
PYTHON_VERSION = re.compile(r"\d+\.\d+\.\d+\w*\+?", re.ASCII)


def inspect(path: str, user: str, groups: Sequence[str], setup: Mapping[str, str]) -> dict[str, Any]:
    """Return what an environment contains.

    Parameters
    ----------
    path : str
        Prefix of the environment.
    user : str
        User of the services, who may not exist yet.
    groups : sequence of str
        More groups of the services.
    setup : dict of str
        ``script`` and ``lines`` of ``dask_environment_setup``; empty without lines.

    Returns
    -------
    dict
        ``changeable``, the file or directory that the user could change, so that the environment was not used; ``problem``,
        why it cannot be used; ``python``, its version, and ``implementation``; ``prefix`` and ``base_prefix``, the
        directories of the environment and of its interpreter; ``packages``, versions by name; ``conda``, the packages of
        conda as ``NAME-VERSION-BUILD``; ``by_conda``, those of ``packages`` that conda installed.
    """
    python = os.path.join(path, PYTHON)
    try:
        place = changeable(user, python, groups)
        if place:
            return {**UNKNOWN, "changeable": place}
        status, output, errors, problem = execute(python, PROBE, user, groups, setup)
        if problem or status != 0:
            return {**UNKNOWN, "problem": problem or ended(status, errors)}
        about = valid(json.loads(output))
        places = [changeable(user, place, groups) for place in about.pop("places")]
        return {**about, "changeable": next(filter(None, places), ""), "problem": ""}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return {**UNKNOWN, "problem": f"{PYTHON} is not a Python"}
    except OSError as error:  # also a time-out of a network file system
        return {**UNKNOWN, "problem": f"it cannot be read ({error.strerror or error})"}


def valid(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer of `PROBE`, without packages with unusual names. Raises an error if it has another form."""
    texts = {name: str(answer[name]) for name in ("python", "implementation", "prefix", "base_prefix")}
    packages = {name: version for name, version in answer["packages"].items() if NAME.fullmatch(name)}
    if not PYTHON_VERSION.fullmatch(texts["python"]):
        raise ValueError("it has no version")
    return {
        **texts,
        "places": [str(place) for place in answer["places"]],
        "packages": {name: version for name, version in packages.items() if VERSION.fullmatch(version)},
        "conda": [name for name in answer["conda"] if VERSION.fullmatch(name)],
        "by_conda": [name for name in answer["by_conda"] if name in packages],
    }


def import_problem(path: str, user: str, groups: Sequence[str], setup: Mapping[str, str]) -> str:
    """Return why the services' user cannot import Dask from an environment; empty if this works."""
    program = "import dask, distributed"
    status, _output, errors, problem = execute(os.path.join(path, PYTHON), program, user, groups, setup)
    return problem or (ended(status, errors) if status else "")


def ended(status: int, errors: str) -> str:
    """Return how a program failed."""
    said = " ".join(printable(errors).split())
    return f"{PYTHON} ended with status {status}{': ' if said else ''}{said[-1000:]}"


def execute(
    python: str,
    program: str,
    user: str,
    groups: Sequence[str],
    setup: Mapping[str, str],
    timeout: float = TIMEOUT,
) -> tuple[int, str, str, str]:
    """Run a program with an interpreter as the services' user, and return status, output, errors and problem.

    The problem is empty if the program ran. Nothing is imported from the working directory, which is ``/``, nor from
    packages of the user, and no bytecode is written.
    """
    command = [python, "-s", "-B", "-c", program]
    variables = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/"}
    try:
        with setup_files(setup) as files:
            if files:
                command = with_setup(command, *files)
                variables["DASKOPS_ENVIRONMENT"] = os.path.dirname(os.path.dirname(python))
            finished = run(command, lambda: act_as(user, groups, primary=NOBODY), variables, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        return 1, "", "", f"it did not answer within {error.timeout:g} s"
    except OSError as error:
        return 1, "", "", f"{user} cannot run {error.filename or python} ({error.strerror})"
    return (*finished, setup_problem(finished).rstrip("."))


@contextlib.contextmanager
def setup_files(setup: Mapping[str, str]) -> Iterator[list[str]]:
    """Write the files of ``dask_environment_setup`` for a command, and remove them afterwards; none without lines."""
    if not setup:
        yield []
        return
    directory = DIRECTORY if os.access(DIRECTORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="daskops-setup-", dir=directory) as work:
        os.chmod(work, 0o755)
        paths = [os.path.join(work, name) for name in ("setup.sh", "setup.lines")]
        for path, text in zip(paths, (setup["script"], setup["lines"])):
            with open(path, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(text)
        yield paths
