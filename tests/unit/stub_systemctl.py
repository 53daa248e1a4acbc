# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stub for systemctl in tests of the module `change_services`.

It starts each service as a real process whose environment names its release, as systemd does, and records each command.
``STUB_ROOT/fail`` lists the commands that must fail, one a line.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ["STUB_ROOT"])
STATE = ROOT / "state.json"


def load():
    return json.loads(STATE.read_text()) if STATE.exists() else {"services": {}, "enabled": []}


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(state, unit):
    if unit.endswith((".socket", ".timer")) and (ROOT / "systemd" / unit).exists():
        state["triggers"] = sorted({*state.get("triggers", []), unit})
    if unit.endswith((".socket", ".target", ".timer")) or runs(state["services"].get(unit, 0)):
        return
    release = ROOT / "home/current/services" / f"{unit}.release"
    files = [ROOT / "systemd" / unit, ROOT / "systemd" / unit.replace("@1", "@").replace("@2", "@")]
    if not any(file.exists() for file in files) or not release.exists() or (release.parent / f"{unit}.broken").exists():
        return
    environment = dict([release.read_text().strip().split("=", 1)])
    # The process must not inherit the output, or the caller would wait for its end.
    null = subprocess.DEVNULL
    sleeping = subprocess.Popen(
        ["/bin/sleep", "300"], env=environment, start_new_session=True, stdin=null, stdout=null, stderr=null
    )
    state["services"][unit] = sleeping.pid


def stop(state, unit):
    state["triggers"] = [trigger for trigger in state.get("triggers", []) if trigger != unit]
    pid = state["services"].pop(unit, None)
    if pid:
        os.kill(pid, signal.SIGKILL)
        while runs(pid):
            time.sleep(0.01)


def not_read():
    """Return the units in ``STUB_ROOT/not-read``, whose files changed after systemd read them."""
    return (ROOT / "not-read").read_text().split() if (ROOT / "not-read").exists() else []


def show(state, unit):
    pid = state["services"].get(unit, 0)
    active = runs(pid) or unit in state.get("triggers", [])
    return "\n".join(
        [
            f"Id={unit}",
            f"ActiveState={'active' if active else 'inactive'}",
            f"SubState={'running' if active else 'dead'}",
            f"MainPID={pid if active else 0}",
            "NRestarts=0",
            "Result=success",
            f"UnitFileState={'enabled' if unit in state['enabled'] else 'disabled'}",
            f"NeedDaemonReload={'yes' if unit in not_read() else 'no'}",
        ]
    )


def main():
    command, *arguments = sys.argv[1:]
    units = [argument for argument in arguments if not argument.startswith("--")]
    kept = "".join(f" ({path.name} is kept)" for path in sorted((ROOT / "kept").glob("*.service")))
    with (ROOT / "asked").open("a") as file:
        file.write(f"{command} {' '.join(units)}{kept}\n")
    if command in ((ROOT / "fail").read_text().split() if (ROOT / "fail").exists() else []):
        sys.exit(f"the stub refuses {command}")
    state = load()
    if command == "show":
        print("\n\n".join(show(state, unit) for unit in units))
    elif command == "list-units":
        for unit in state["services"]:
            if Path(unit).match(units[0]):
                print(unit)
    elif command == "enable":
        state["enabled"].extend(units)
    elif command == "disable":
        state["enabled"] = [unit for unit in state["enabled"] if unit not in units]
    elif command in ("start", "stop"):
        for unit in units:
            {"start": start, "stop": stop}[command](state, unit)
    elif command == "restart":
        for unit in units:
            stop(state, unit)
            start(state, unit)
    STATE.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
