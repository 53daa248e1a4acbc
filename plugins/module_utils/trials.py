# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of a trial: a release's own units under other names, with other ports. Pure functions."""

from __future__ import annotations

import re

#: How the names of a trial's units, files and directories begin.
PREFIX = "daskops-trial-"
#: Seconds that a service has beyond the time for a trial; then systemd ends it, for its run was killed.
GRACE = 30
#: What the trial of a worker, and the scheduler that it joins, are told of each other.
SCHEDULER_FILE = "scheduler.json"

# The last assignment wins, and an empty one drops what the unit and its drop-ins say.
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
# Removes the unit of a run that was killed. Root alone may write to these directories.
ExecStopPost=+/bin/rm -f {unit} {environment}
"""

# Environment variables of the collection's own that are no secrets.
OWN = re.compile(r"(DASKOPS_(?!SHUTDOWN_TOKEN)|DASK_(ROOT_)?CONFIG$|(OMP|MKL|OPENBLAS)_NUM_|MALLOC_TRIM_|PYTHON|CUDA_)")


def service_section(text):
    """The lines of the section ``[Service]`` of a unit's file or a drop-in."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r"\s*\[", line):
            inside = line.strip() == "[Service]"
        elif inside:
            lines.append(line)
    return lines


def with_specifiers(text, unit):
    """``text`` with the names that systemd would put in for the unit that is tried, not for the trial's own."""
    prefix, _, instance = unit.rsplit(".", 1)[0].partition("@")
    known = {"n": unit, "i": instance, "p": prefix}
    return re.sub(r"%(.)", lambda match: known.get(match[1], match[0]), text)


def at_release(text, home, release):
    """``text`` with the path of a release in the place of the link to the current one."""
    return re.sub(rf"{re.escape(home.rstrip('/'))}/current(?![\w.-])", lambda match: release, text)


def make_unit(texts, unit, home, release, name, environment, path, timeout, command=""):
    """The unit of a trial.

    Parameters
    ----------
    texts : list of str
        The unit's file and its drop-ins, in the order in which systemd reads them.
    unit : str
        Name of the unit that is tried.
    home, release : str
        Paths of the collection's directory on the host and of the release.
    name : str
        Name of the trial's unit, without ``.service``, and of its runtime directory.
    environment, path : str
        Paths of the file with the environment of the trial and of the trial's unit.
    timeout : int
        Seconds that the trial may take.
    command : str, optional
        What is started instead of what the unit says.

    Returns
    -------
    str
        Same user, sandbox and environment; no restart, no watchdog, nothing of what belongs to a service that lasts.
    """
    lines = ["[Unit]", f"Description=Trial of {unit}", "CollectMode=inactive-or-failed", "", "[Service]"]
    for text in texts:
        lines += service_section(at_release(with_specifiers(text, unit), home, release))
    overrides = OVERRIDES.format(name=name, environment=environment, unit=path, limit=timeout + GRACE)
    started = f"ExecStart=\nExecStart={command}\n" if command else ""
    return "\n".join(lines) + overrides + started


def make_environment(text, home, release, arguments):
    """What a trial has in its environment besides what the service has.

    Parameters
    ----------
    text : str
        The environment file of the service that is tried.
    home, release : str
        Paths of the collection's directory on the host and of the release.
    arguments : str
        The arguments of its command.
    """
    paths = re.findall(r"^(?:DASK_CONFIG|DASK_ROOT_CONFIG)=.*$", at_release(text, home, release), re.MULTILINE)
    # Its own end is the trial's: a worker's lifetime could be over before it is registered.
    return "\n".join([*paths, "DASKOPS_TRIAL=1", "DASKOPS_LIFETIME=", f"DASKOPS_ARGUMENTS={arguments}", ""])


def given_arguments(text):
    """The arguments in the environment file of a service."""
    found = re.search(r"^DASKOPS_ARGUMENTS=(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def secret_values(text):
    """The values in the environment file of a service that may be secret: those that the user has set."""
    values = set()
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        if not OWN.match(name):
            value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value
            values.add(value)
    return {value for value in values if len(value) > 3}


def scheduler_arguments(given, directory):
    """The arguments of a trial's scheduler; of an option that comes twice, Dask takes the last one.

    Parameters
    ----------
    given : str
        Those of the service, or others.
    directory : str
        Its runtime directory.
    """
    own = f"--host 127.0.0.1 --port 0 --dashboard-address 127.0.0.1:0 --scheduler-file {directory}/{SCHEDULER_FILE}"
    return f"{given} {own}".strip()


def worker_arguments(given, directory, scheduler):
    """The arguments of a trial's worker.

    Parameters
    ----------
    given : str
        Those of the service, the address of its scheduler first.
    directory : str
        Its runtime directory.
    scheduler : str
        The runtime directory of the scheduler that it joins.
    """
    words = given.split(" ")[1:]
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
