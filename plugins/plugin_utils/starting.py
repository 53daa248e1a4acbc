# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start stopped services. If all services of a cluster are stopped, no work can be lost, so all of them start at once.

The services of a kind on a host have one of three states. If none of them runs, they are ``stopped`` if their unit files are
those of the release, else ``differs``. If at least one of them serves, starts or stops, they are ``running``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

#: Prints a line for each kind of service in the current release, and starts the given kinds. It reads their state
#: immediately before the start, because another run may have changed them.
SCRIPT = r"""
home=$1 systemd=$2 kept=$3 kinds=" $4 " wait=$5
cd -P -- "$home/current" 2>/dev/null && [ -f manifest.json ] || exit 0
look() {
    kind=$1 boot=$2 pattern=$3 units= state=stopped
    shift 3
    for file in services/$pattern.release; do
        [ -f "$file" ] || return 0
        file=${file#services/}
        units="$units ${file%.release}"
    done
    if systemctl show --property=ActiveState,NeedDaemonReload "$pattern" $units |
        grep -E '^(ActiveState|NeedDaemonReload)=' | grep -qvxE 'ActiveState=(inactive|failed)|NeedDaemonReload=no'
    then
        state=running
    fi
    for file in "$kept"/$pattern; do
        [ ! -e "$file" ] || [ $state = running ] || state=differs
    done
    for file; do
        cmp -s "systemd/$file" "$systemd/$file" || [ $state = running ] || state=differs
    done
    echo "$kind $state"
    case $state,$kinds in
        stopped,*" $kind "*) systemctl start --no-block $boot $units && echo "$kind started" && wanted="$wanted $units" ;;
    esac
}
wanted=
cd systemd && others=$(ls -d dask-scheduler-journal* 2>/dev/null)
cd ..
look scheduler dask-scheduler.service dask-scheduler.service dask-scheduler.service $others
cd systemd && others=$(ls -d dask-worker@*.service.d/daskops.conf dask-worker-hours@* dask-worker-journal* 2>/dev/null)
cd ..
look worker dask-workers.target 'dask-worker@*.service' dask-workers.target dask-worker@.service $others
[ -z "$wanted" ] || [ "$wait" = 0 ] || timeout "$wait" systemctl start $wanted
"""

LINE = re.compile(r"(scheduler|worker) (stopped|differs|running|started)")

States = Mapping[str, str]


def command(home: str, systemd: str, kept: str, kinds: Iterable[str], wait: int = 0) -> str:
    """Return the shell command that inspects the services below ``home`` and starts the stopped services of ``kinds``.

    The command waits up to ``wait`` seconds until these services serve.
    """
    return shlex.join(["sh", "-c", SCRIPT, "sh", home, systemd, kept, " ".join(kinds), str(wait)])


def parse(output: str) -> tuple[dict[str, str], list[str]]:
    """Return the state of each kind of service, by kind, and the kinds that were started, from the output of the command."""
    lines = [found.groups() for found in map(LINE.fullmatch, output.splitlines()) if found]
    return {kind: what for kind, what in lines if what != "started"}, [
        kind for kind, what in lines if what == "started"
    ]


def startable(states: Mapping[str, States], kinds: Mapping[str, list[str]], scheduler: str) -> dict[str, list[str]]:
    """Return the kinds of service that can be started at once, by host. Omits hosts without any.

    If a host lacks services, the result is empty, and later tasks report the reason. Workers are started only if there is a
    scheduler to which they can connect.

    Parameters
    ----------
    states : dict of dict
        State of the services by host of the run and kind.
    kinds : dict of list
        Kinds of service that each of these hosts should have.
    scheduler : str
        The scheduler's host. Empty if another system runs the scheduler.
    """
    if any(kind not in states[host] for host, wanted in kinds.items() for kind in wanted):
        return {}
    if states.get(scheduler, {}).get("scheduler") not in ("stopped", "running"):
        return {}
    found = {host: [kind for kind in wanted if states[host][kind] == "stopped"] for host, wanted in kinds.items()}
    return {host: stopped for host, stopped in found.items() if stopped}
