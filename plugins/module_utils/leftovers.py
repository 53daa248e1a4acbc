# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find traces of other installations of Python and Dask on a host. Reads files, and changes nothing."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import open_examined
from ansible_collections.daskops.cluster.plugins.module_utils.trials import PREFIX
from ansible_collections.daskops.cluster.plugins.module_utils.units import UNIT
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import lines, printable, read_text

#: Directories with unit files, of the system and of users.
UNITS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/user",
    "/home/*/.config/systemd/user",
    "/root/.config/systemd/user",
)
#: Files that login shells of all users read, and files of one user below its home.
PROFILES = ("/etc/profile", "/etc/profile.d/*.sh", "/etc/bash.bashrc", "/etc/bashrc", "/etc/environment")
OWN_PROFILES = (".bash_profile", ".bash_login", ".profile", ".bashrc", ".zshrc")

#: Dask's configuration of all users.
CONFIGURATION = "/etc/dask"
PROCESSES = "/proc"

#: A command that runs a scheduler or a worker.
RUNS_DASK = re.compile(
    r"(^|[\s/=\"';&|(])dask(-|\s+)(scheduler|worker|cuda[- ]worker|mpi)\b"
    r"|\bdistributed\.cli\.dask_(scheduler|worker|spec)\b|\bdask_cuda\.cli\b"
)
#: The command in the collection's units of the scheduler and the workers.
OUR_COMMAND = re.compile(r"^ExecStart=/bin/sh \S+/current/run\.sh ", re.MULTILINE)
#: A line with which conda changes the environment of a shell.
CONDA = re.compile(r">>> conda initialize|\bconda\.sh\b|/(ana|mini|mamba)?(conda|forge)[23]?/bin|\bconda activate\b")

#: The collection's own units, also those of a trial, in the path of a process's control group.
OWN_GROUP = re.compile(rf"/({PREFIX}[^/\n]*|dask-(?:scheduler|worker@)[^/\n]*\.service)(?=/|$)", re.MULTILINE)

#: Bytes of a file that are read, and number of items that are reported.
LIMIT, ITEMS = 1024**2, 50


def _text(path: str) -> str:
    """Return the text of a regular file; empty if it cannot be read. Users could put a link to a FIFO or a device there."""
    try:
        return read_text(path, LIMIT, open_examined)
    except (OSError, ValueError):
        return ""


def home_of(user: str) -> str:
    """Return the home directory of an account; empty if there is no such account."""
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return ""


def conda_profiles(homes: Iterable[str]) -> list[str]:
    """Return the files of login shells that activate conda or put it on the search path."""
    paths = [path for pattern in PROFILES for path in sorted(glob.glob(pattern))]
    paths += [os.path.join(home, name) for home in homes if home for name in OWN_PROFILES]
    found = []
    for path in paths:
        code = (line for line in lines(_text(path)) if ">>> conda" in line or not line.lstrip().startswith("#"))
        if any(CONDA.search(line) for line in code):
            found.append(printable(path))
    return found[:ITEMS]


def user_packages(home: str) -> list[str]:
    """Return the directories with packages that an account has installed for itself (``pip install --user``)."""
    pattern = os.path.join(glob.escape(home), ".local/lib/python3*/site-packages")
    found = []
    for path in sorted(glob.glob(pattern)) if home else []:
        with contextlib.suppress(OSError):  # the account can put anything there
            if os.listdir(path):
                found.append(printable(path))
    return found[:ITEMS]


def configuration_files(directory: str) -> list[str]:
    """Return the files of Dask's configuration in a directory, without those of the collection."""
    directory = glob.escape(directory)
    found = [path for kind in ("yaml", "yml", "json") for path in glob.glob(os.path.join(directory, f"*.{kind}"))]
    return sorted(printable(path) for path in found if not os.path.basename(path).startswith("daskops"))[:ITEMS]


def other_units() -> list[str]:
    """Return the unit files of other installations that run Dask."""
    return sorted(map(printable, _other_units().values()))[:ITEMS]


def _other_units() -> dict[str, str]:
    """Return such files by their real path. Other installations may use the names of the collection's units."""
    found: dict[str, str] = {}
    for directory in UNITS:
        for path in sorted(glob.glob(os.path.join(directory, "*.service"))):
            name, text = os.path.basename(path), _text(path)
            if (UNIT.fullmatch(name) or name == "dask-worker@.service") and OUR_COMMAND.search(text):
                continue
            # A trial, and units that name services in their commands.
            if name.startswith((PREFIX, "dask-worker-hours@", "dask-scheduler-journal@", "dask-worker-journal@")):
                continue
            starts = [line for line in lines(text.replace("\\\n", " ")) if line.strip().startswith("ExecStart")]
            if any(RUNS_DASK.search(line) for line in starts):
                found.setdefault(os.path.realpath(path), path)
    return found


def stray_processes() -> list[dict[str, Any]]:
    """Return ``pid``, ``user`` and ``command`` of schedulers and workers that do not belong to the collection's units."""
    return list(_stray_processes())[:ITEMS]


def _stray_processes() -> Iterator[dict[str, Any]]:
    others = {os.path.basename(path) for path in _other_units().values()}
    for path in sorted(glob.glob(os.path.join(PROCESSES, "[0-9]*"))):
        try:
            with open(os.path.join(path, "cmdline"), "rb") as file:
                words = file.read(LIMIT).rstrip(b"\0").split(b"\0")
            with open(os.path.join(path, "cgroup"), encoding="utf-8", errors="replace") as groups:
                group = groups.read(LIMIT)
            owner = os.stat(path).st_uid
        except OSError:  # the process has ended
            continue
        # Only the start: a shell or an editor may have the words in a later argument.
        command = b" ".join(words[:4]).decode("utf-8", "replace")
        if not RUNS_DASK.search(command) or _ours(group, others):
            continue
        try:
            user = pwd.getpwuid(owner).pw_name
        except KeyError:
            user = str(owner)
        yield {"pid": int(os.path.basename(path)), "user": printable(user), "command": printable(command, 200)}


def _ours(groups: str, others: set[str]) -> bool:
    """Return whether a process is in the control group of one of the collection's units. ``others`` are not."""

    def is_other(unit: str) -> bool:
        return bool({unit, re.sub("@.*", "@.service", unit)} & others)

    units = [unit for unit in OWN_GROUP.findall(groups) if not is_other(unit)]
    return any(UNIT.fullmatch(unit) or unit.startswith(PREFIX) for unit in units)
