# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of a trial: the units of a release under other names, with other ports. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Prefix of the names of a trial's units, files and directories.
PREFIX = "daskops-trial-"
#: Seconds after the timeout of a trial when systemd ends a service whose run was killed.
GRACE = 30
#: Scheduler file in which the worker of a trial finds the address of the trial's scheduler.
SCHEDULER_FILE = "scheduler.json"

# The last assignment wins, and an empty one resets what the unit and its drop-ins set.
OVERRIDES = """
[Service]
EnvironmentFile={environment}
Restart=no
WatchdogSec=0
TimeoutStartSec={limit}
RuntimeMaxSec={limit}
TimeoutStopSec=5
RuntimeDirectory=
RuntimeDirectory={name}
RuntimeDirectoryPreserve=no
ExecStartPre=
ExecStartPost=
ExecReload=
ExecStop=
ExecStopPost=
# Removes the unit of a run that was killed. Only root may write to these directories.
ExecStopPost=+/bin/rm -f {unit} {environment}
"""

# Environment variables that the collection sets and that contain no secrets.
OWN = re.compile(r"(DASKOPS_(?!SHUTDOWN_TOKEN)|DASK_(ROOT_)?CONFIG$|(OMP|MKL|OPENBLAS)_NUM_|MALLOC_TRIM_|PYTHON|CUDA_)")


def service_section(text: str) -> list[str]:
    """Return the lines of the section ``[Service]`` of a unit file or a drop-in."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r"\s*\[", line):
            inside = line.strip() == "[Service]"
        elif inside:
            lines.append(line)
    return lines


def with_specifiers(text: str, unit: str) -> str:
    """Return ``text`` with the values that the specifiers ``%n``, ``%i`` and ``%p`` have in the tested unit."""
    prefix, dummy, instance = unit.rsplit(".", 1)[0].partition("@")
    known = {"n": unit, "i": instance, "p": prefix}
    return re.sub(r"%(.)", lambda match: known.get(match[1], match[0]), text)


def at_release(text: str, home: str, release: str) -> str:
    """Return ``text`` with the path of a release instead of the link to the current one."""
    return re.sub(rf"{re.escape(home.rstrip('/'))}/current(?![\w.-])", lambda match: release, text)


def make_unit(
    texts: Iterable[str],
    unit: str,
    home: str,
    release: str,
    name: str,
    environment: str,
    path: str,
    timeout: int,
    command: str = "",
) -> str:
    """Return the unit of a trial.

    Parameters
    ----------
    texts : list of str
        The tested unit file and its drop-ins, in the order in which systemd reads them.
    unit : str
        Name of the tested unit.
    home, release : str
        Paths of the collection's directory on the host and of the release.
    name : str
        Name of the trial's unit, without ``.service``, and of its runtime directory.
    environment, path : str
        Paths of the trial's environment file and of the trial's unit file.
    timeout : int
        Seconds that the trial may take.
    command : str, optional
        Command to run instead of the command of the tested unit.

    Returns
    -------
    str
        Content of the unit file. It has the same user, sandbox and environment as the tested unit, but no restart, watchdog
        or other settings of a permanent service.
    """
    lines = ["[Unit]", f"Description=Trial of {unit}", "CollectMode=inactive-or-failed", "", "[Service]"]
    for text in texts:
        lines += service_section(at_release(with_specifiers(text, unit), home, release))
    overrides = OVERRIDES.format(name=name, environment=environment, unit=path, limit=timeout + GRACE)
    started = f"ExecStart=\nExecStart={command}\n" if command else ""
    return "\n".join(lines) + overrides + started


def make_environment(text: str, home: str, release: str, arguments: str) -> str:
    """Return the content of a trial's environment file: the environment of the service, with changes for the trial.

    Parameters
    ----------
    text : str
        Content of the environment file of the tested service.
    home, release : str
        Paths of the collection's directory on the host and of the release.
    arguments : str
        Arguments of the trial's command.
    """
    paths = re.findall(r"^(?:DASK_CONFIG|DASK_ROOT_CONFIG)=.*$", at_release(text, home, release), re.MULTILINE)
    # A worker's lifetime or hours could end before the worker is registered. The running scheduler must not decide whether
    # a trial's worker starts, and the trial's scheduler must not change the state of the running one.
    reset = ["DASKOPS_LIFETIME=", "DASKOPS_HOURS=", "DASKOPS_STANDBY=", "DASKOPS_SCALING=", "DASKOPS_SCALING_FILE="]
    return "\n".join([*paths, "DASKOPS_TRIAL=1", *reset, f"DASKOPS_ARGUMENTS={arguments}", ""])


def given_arguments(text: str) -> str:
    """Return the arguments in the environment file of a service."""
    found = re.search(r"^DASKOPS_ARGUMENTS=(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def dashboard_path(arguments: str) -> str:
    """Return the path below which a scheduler with these arguments serves its pages, with slashes at both ends."""
    words = arguments.split(" ")
    prefix = words[words.index("--dashboard-prefix") + 1] if "--dashboard-prefix" in words[:-1] else ""
    return f"/{prefix}/" if prefix else "/"


def secret_values(text: str) -> set[str]:
    """Return the values in the environment file of a service that may be secret, which are those that the user set."""
    values = set()
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        if not OWN.match(name):
            value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value
            values.add(value)
    return {value for value in values if len(value) > 3}


def scheduler_arguments(given: str, directory: str) -> str:
    """Return the arguments of a trial's scheduler. Dask takes the last one of repeated options.

    Parameters
    ----------
    given : str
        Arguments of the tested service, or other arguments.
    directory : str
        Runtime directory of the trial's scheduler.
    """
    own = f"--host 127.0.0.1 --port 0 --dashboard-address 127.0.0.1:0 --scheduler-file {directory}/{SCHEDULER_FILE}"
    return f"{given} {own}".strip()


def worker_arguments(given: str, directory: str, scheduler: str) -> str:
    """Return the arguments of a trial's worker.

    Parameters
    ----------
    given : str
        Arguments of the tested service. The first one is the address of its scheduler.
    directory : str
        Runtime directory of the trial's worker.
    scheduler : str
        Runtime directory of the trial's scheduler, to which the worker connects.
    """
    words = given.split(" ")[1:]
    # Dask accepts these only without `--host`.
    for option in ("--listen-address", "--contact-address"):
        if option in words:
            del words[words.index(option) : words.index(option) + 2]
    own = [
        "--scheduler-file", f"{scheduler}/{SCHEDULER_FILE}",
        "--host", "127.0.0.1",
        "--worker-port", "0",
        "--dashboard-address", "127.0.0.1:0",
        "--local-directory", directory,
    ]  # fmt: skip
    for option, value in {"--nanny-port": "=0", "--pid-file": "="}.items():
        if any(word.partition("=")[0] == option for word in words):
            own.append(option + value)
    return " ".join([*words, *own])
