# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start of services that are stopped: where there is nothing to lose, all of a cluster start at once.

A host's services of a kind are ``stopped`` if none of them runs and systemd would start them as their release has it, or
``differs`` if it would not. Otherwise they are ``running``: some of them, at least, serve, start or stop.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

#: Prints a line for each kind that the current release has, and starts the kinds that it is given. It looks at their state
#: in the same moment, so that what another run has changed meanwhile is not started.
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
look scheduler dask-scheduler.service dask-scheduler.service dask-scheduler.service
cd systemd && drop_ins=$(ls -d dask-worker@*.service.d/daskops.conf 2>/dev/null)
cd ..
look worker dask-workers.target 'dask-worker@*.service' dask-workers.target dask-worker@.service $drop_ins
[ -z "$wanted" ] || [ "$wait" = 0 ] || timeout "$wait" systemctl start $wanted
"""

LINE = re.compile(r"(scheduler|worker) (stopped|differs|running|started)")

States = Mapping[str, str]


def command(home: str, systemd: str, kept: str, kinds: Iterable[str], wait: int = 0) -> str:
    """The shell command that looks at the services below ``home`` and starts those of ``kinds`` that are stopped.

    It waits up to ``wait`` seconds until these serve.
    """
    return shlex.join(["sh", "-c", SCRIPT, "sh", home, systemd, kept, " ".join(kinds), str(wait)])


def parse(output: str) -> tuple[dict[str, str], list[str]]:
    """The state by kind, and the kinds that were started."""
    lines = [found.groups() for found in map(LINE.fullmatch, output.splitlines()) if found]
    return {kind: what for kind, what in lines if what != "started"}, [
        kind for kind, what in lines if what == "started"
    ]


def startable(states: Mapping[str, States], kinds: Mapping[str, list[str]], scheduler: str) -> dict[str, list[str]]:
    """The kinds of service that can be started at once, by host; hosts without any are left out.

    Nothing can if something is missing: the tasks that look closer say what. Workers can if they have a scheduler to join.

    Parameters
    ----------
    states : dict of dict
        The state by kind, of every host of the run.
    kinds : dict of list
        The kinds of service that each of these hosts should have.
    scheduler : str
        The scheduler's host; empty if the collection does not manage the scheduler.
    """
    if any(kind not in states[host] for host, wanted in kinds.items() for kind in wanted):
        return {}
    if states.get(scheduler, {}).get("scheduler") not in ("stopped", "running"):
        return {}
    found = {host: [kind for kind in wanted if states[host][kind] == "stopped"] for host, wanted in kinds.items()}
    return {host: stopped for host, stopped in found.items() if stopped}
