#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: examine_host
short_description: Examine a host and its connections to other hosts
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.doctor_info), which validates the result.
  - Changes nothing. Measures the speed of a disk with an unnamed file, which disappears with its process.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
options:
  user:
    description: Account that the services will run as.
    type: str
    required: true
  targets:
    description: Address and port of each connection to try.
    type: list
    elements: list
    default: []
  names:
    description: Names to resolve.
    type: list
    elements: str
    default: []
  addresses:
    description: Addresses of the other hosts, to find the names of, and to which to send packets.
    type: list
    elements: str
    default: []
  scratch:
    description: Directories for spilled data.
    type: list
    elements: str
    default: []
  accounts:
    description: Accounts whose login shells and configuration to read, besides O(user) and root.
    type: list
    elements: str
    default: []
  journal:
    description: Lines of the journal of the collection's units to return; 0 for none.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Examine the host
  daskops.cluster.examine_host:
    user: dask
    targets: [[10.0.0.1, 8786]]
"""

RETURN = r"""
connections:
  description: The result of each connection in O(targets) - V(open), V(refused), V(timed out), or another text.
  type: list
  elements: str
  returned: always
resolved:
  description: The addresses of each of O(names). None if it cannot be resolved.
  type: dict
  returned: always
reverse:
  description: The name of each of O(addresses). Empty if it has none.
  type: dict
  returned: always
mtus:
  description:
    - For each of O(addresses), the MTU of this host's interface to it, and the size of the largest packet that comes back.
      The second is 0 if the address does not answer echo requests, and -1 if this host may not send them.
  type: dict
  returned: always
interfaces:
  description: The interfaces, each with C(name), C(up), C(mtu) and its global C(addresses).
  type: list
  elements: dict
  returned: always
limits:
  description: The kernel's limits C(nr_open), C(pid_max) and C(threads_max).
  type: dict
  returned: always
memory:
  description:
    - Bytes of C(total) memory and of C(swap), the used C(swap_used), and the kernel's setting C(overcommit) with
      C(commit_free), the bytes that can still be allocated if it is 2.
  type: dict
  returned: always
cgroups:
  description: The C(version) of control groups, 0 for none, and whether systemd can limit the C(memory) of services.
  type: dict
  returned: always
scratch:
  description:
    - For each of O(scratch), the C(directory) that was examined, its file system's C(type), C(free) bytes and C(inodes), and
      the C(speed) in bytes per second with which it stores data; 0 if that was not measured.
  type: dict
  returned: always
synchronized:
  description: Whether systemd regards the clock as synchronized. Null if it does not say.
  type: bool
  returned: always
selinux:
  description: V(enforcing), V(permissive), or empty. C(tools) says whether the programs to label files are installed.
  type: dict
  returned: always
leftovers:
  description:
    - Traces of other installations. C(conda), C(packages), C(configuration) and C(units) are paths, and C(processes) has
      C(pid), C(user) and C(command). C(system_configuration) is Dask's configuration for all users.
  type: dict
  returned: always
gpus:
  description:
    - Number of NVIDIA GPUs on the bus (C(devices)), the C(driver) that the kernel has loaded, and C(tool), the version of
      the driver that C(nvidia-smi) reports, with its C(error).
  type: dict
  returned: always
restarting:
  description: The collection's units that systemd starts again and again, or that have failed.
  type: list
  elements: str
  returned: always
system:
  description: Name and version of the distribution, and the kernel.
  type: list
  elements: str
  returned: always
journal:
  description: The last lines of the journal of the collection's units.
  type: str
  returned: always
unanswered:
  description:
    - Sentences about parts that could not be examined or did not answer in time, for example because of a file server or a
      driver. These parts are empty in the other values.
  type: list
  elements: str
  returned: always
"""

import contextlib
import functools
import glob
import json
import os
import platform
import re
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user, changeable, in_child
from ansible_collections.daskops.cluster.plugins.module_utils.connections import (
    addresses_of,
    connect_all,
    names_of,
    path_mtus,
)
from ansible_collections.daskops.cluster.plugins.module_utils.leftovers import (
    CONFIGURATION,
    conda_profiles,
    configuration_files,
    home_of,
    other_units,
    stray_processes,
    user_packages,
)
from ansible_collections.daskops.cluster.plugins.module_utils.routes import route
from ansible_collections.daskops.cluster.plugins.module_utils.units import SystemctlError, show_units
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import TEXT_LIMIT, printable, read_text
from ansible_collections.daskops.cluster.plugins.module_utils.user_programs import first_output

PROC = "/proc"
CONTROL_GROUPS = "/sys/fs/cgroup"
PCI_DEVICES = "/sys/bus/pci/devices"
SELINUX_ENFORCE = "/sys/fs/selinux/enforce"
RELEASE = "/etc/os-release"

NO_GPUS = {"devices": 0, "driver": "", "tool": "", "error": ""}

#: Bytes and seconds of the measurement of a disk, and seconds that a slow disk may take for it.
MEASURED = 32 * 1024**2
SECONDS = 1.0
PATIENCE = 20.0

#: Seconds that nvidia-smi and journalctl may take. The first hangs with a broken GPU.
TOOL_TIMEOUT = 15

#: Seconds that looks at files may take, also if a program runs meanwhile. They hang if a file server does not answer.
FILES_TIMEOUT = 10.0

#: Bytes of the output of nvidia-smi.
OUTPUT = 65536

#: Seconds for all connections, and for the answers to packets of each size.
CONNECT_TIMEOUT = 3.0
ECHO_TIMEOUT = 0.7
#: Size of the largest packet to an address, if neither the services' user nor root may send echo requests.
NOT_SENT = -1

#: Bytes of the journal, per host. The rest of the limit is left for what Ansible replaces in texts.
JOURNAL = TEXT_LIMIT * 9 // 10


def read(path: str) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        return read_text(path, 1024**2).strip()
    except (OSError, ValueError):
        return ""


def number(text: str) -> int:
    """Return a text as a number; 0 if it is none."""
    return int(text) if text.isdigit() else 0


def limits() -> dict[str, int]:
    """Return the kernel's limits of files, processes and threads; 0 for one that it does not tell."""
    names = {"nr_open": "fs/nr_open", "pid_max": "kernel/pid_max", "threads_max": "kernel/threads-max"}
    return {name: number(read(f"{PROC}/sys/{path}")) for name, path in names.items()}


def memory() -> dict[str, int]:
    """Return the host's memory, its swap, and whether allocated memory may exceed it; see `RETURN`."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", read(f"{PROC}/meminfo"), re.MULTILINE))
    told = {name: int(found.get(name, 0)) * 1024 for name in ("MemTotal", "SwapTotal", "SwapFree", "CommitLimit")}
    committed = int(found.get("Committed_AS", 0)) * 1024
    return {
        "total": told["MemTotal"],
        "swap": told["SwapTotal"],
        "swap_used": max(0, told["SwapTotal"] - told["SwapFree"]),
        "overcommit": number(read(f"{PROC}/sys/vm/overcommit_memory")),
        "commit_free": max(0, told["CommitLimit"] - committed),
    }


def cgroups() -> dict[str, Any]:
    """Return the version of control groups, and whether one for memory is available to systemd."""
    if os.path.exists(f"{CONTROL_GROUPS}/cgroup.controllers"):
        return {"version": 2, "memory": "memory" in read(f"{CONTROL_GROUPS}/cgroup.controllers").split()}
    if os.path.isdir(f"{CONTROL_GROUPS}/systemd"):
        return {"version": 1, "memory": os.path.isdir(f"{CONTROL_GROUPS}/memory")}
    return {"version": 0, "memory": False}


def existing(path: str) -> str:
    """Return a directory, or its nearest parent that exists."""
    path = os.path.realpath(path)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def write_speed(directory: str) -> float:
    """Return the bytes per second with which a directory stores data. Raises OSError if it cannot be measured."""
    block = os.urandom(1024**2)
    # The file has no name, so it disappears with the process.
    handle = os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o600)
    try:
        started, written = time.monotonic(), 0
        while written < MEASURED and time.monotonic() - started < SECONDS:
            written += os.write(handle, block)
        os.fsync(handle)
        return written / max(time.monotonic() - started, 1e-6)
    finally:
        os.close(handle)


def scratch(path: str, user: str) -> dict[str, Any]:
    """Return the space and the speed of a scratch directory, or of the directory in which it will be made."""
    directory = existing(path)
    about = os.statvfs(directory)
    kinds = re.findall(r"^\S+ (\S+) (\S+) ", read(f"{PROC}/mounts"), re.MULTILINE)
    mounts = {mount.replace("\\040", " "): kind for mount, kind in kinds}
    mount = max((one for one in mounts if f"{directory}/".startswith(one.rstrip("/") + "/")), key=len, default="")
    speed = 0.0
    free = about.f_bavail * about.f_frsize
    # Root must not write where the services' account can put links. The directories of that account are its own.
    if free > 4 * MEASURED and not (os.geteuid() == 0 and directory != path and changeable(user, directory)):
        with contextlib.suppress(OSError, ValueError):
            as_services = directory == os.path.realpath(path)
            speed = as_user(user if as_services else "root", lambda: write_speed(directory), timeout=PATIENCE)
    return {
        "directory": directory,
        "type": mounts.get(mount, ""),
        "free": free,
        # File systems such as btrfs have no fixed number.
        "inodes": about.f_favail if about.f_files else -1,
        "speed": int(speed),
    }


def interfaces(module: AnsibleModule) -> list[dict[str, Any]]:
    """Return the interfaces with their MTU and global addresses; none if ``ip`` does not say."""
    try:
        links = json.loads(module.run_command(["ip", "-json", "address", "show"])[1])
        return [
            {
                "name": str(link["ifname"]),
                "up": link.get("operstate") != "DOWN" and "UP" in link.get("flags", []),
                "mtu": int(link["mtu"]),
                "addresses": [
                    str(one["local"])
                    for one in link.get("addr_info", [])
                    if one.get("scope") == "global" and "local" in one
                ],
            }
            for link in links
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def mtus(addresses: list[str], links: list[dict[str, Any]], user: str) -> dict[str, list[int]]:
    """Return the MTU of the interface and of the path to each address; see `RETURN`."""
    by_address = {address: link["mtu"] for link in links for address in link["addresses"]}
    leads = {address: by_address.get(next(iter(route(address)), ""), 0) for address in addresses}
    known = {address: mtu for address, mtu in leads.items() if mtu}
    if not known:
        return {}

    def measure() -> dict[str, int]:
        return path_mtus(known, ECHO_TIMEOUT)

    try:
        measured = as_user(user, measure, timeout=60)
    except (OSError, ValueError):  # this account may not send echo requests
        try:
            measured = in_child(measure, timeout=60)
        except (OSError, ValueError):  # neither may root, for example in a container
            measured = dict.fromkeys(known, NOT_SENT)
    return {address: [mtu, measured.get(address, 0)] for address, mtu in known.items()}


def synchronized(module: AnsibleModule) -> bool | None:
    """Return whether systemd regards the clock as synchronized; None if it does not say."""
    if not module.get_bin_path("timedatectl"):
        return None
    said = module.run_command(["timedatectl", "show", "--property=NTPSynchronized", "--value"])[1].strip()
    return {"yes": True, "no": False}.get(said)


def selinux(module: AnsibleModule) -> dict[str, Any]:
    """Return the mode of SELinux, and whether its tools are installed."""
    tools = all(module.get_bin_path(name) for name in ("matchpathcon", "restorecon"))
    return {"mode": {"1": "enforcing", "0": "permissive"}.get(read(SELINUX_ENFORCE), ""), "tools": tools}


def gpus(module: AnsibleModule) -> dict[str, Any]:
    """Return the NVIDIA GPUs on the bus, and the driver by the kernel and by nvidia-smi; see `RETURN`."""
    devices = 0
    for path in glob.glob(f"{PCI_DEVICES}/*"):
        # 0x0300 is a VGA controller, and 0x0302 a controller for computations only.
        devices += read(f"{path}/vendor") == "0x10de" and read(f"{path}/class")[:6] in ("0x0300", "0x0302")
    loaded = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", read(f"{PROC}/driver/nvidia/version") + " ")
    found = {**NO_GPUS, "devices": devices, "driver": loaded.group(1) if loaded else ""}
    tool = module.get_bin_path("nvidia-smi")
    if not tool:
        return found
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        status, said = first_output(command, TOOL_TIMEOUT, OUTPUT)
    except OSError as error:
        return {**found, "error": error.strerror or str(error)}
    if status is None:
        return {**found, "error": f"no answer within {TOOL_TIMEOUT} s"}
    if status == 0:
        return {**found, "tool": printable(said.strip().split("\n")[0], 40)}
    return {**found, "error": printable(" ".join(said.split()), 200) or f"status {status}"}


def restarting(module: AnsibleModule) -> list[str]:
    """Return the collection's units that have failed or that systemd starts again and again."""
    try:
        shown = show_units(module, ["ActiveState", "SubState"], ["dask-scheduler.service", "dask-worker@*.service"])
    except SystemctlError:
        return []
    return sorted(
        unit for unit, state in shown.items() if state["ActiveState"] == "failed" or state["SubState"] == "auto-restart"
    )


def system() -> list[str]:
    """Return the distribution, the kernel and the architecture."""
    name = re.search(r'^PRETTY_NAME="?(.*?)"?$', read(RELEASE), re.MULTILINE)
    return [printable(name.group(1), 200) if name else "", platform.release(), platform.machine()]


def journal(module: AnsibleModule, number: int) -> str:
    """Return the last lines of the journal of the collection's units, without the oldest if they are too long."""
    tool = module.get_bin_path("journalctl")
    if number < 1 or not tool:
        return ""
    names = ("dask-scheduler", "dask-worker@*", "dask-worker-hours@*", "dask-firewall")
    sockets = ("dask-scheduler-journal.socket", "dask-worker-journal.socket")
    units = [f"--unit={name}" for name in (*(f"{name}.service" for name in names), *sockets)]
    options = ["--no-pager", "--output=short-iso", "--quiet", "--reverse", f"--lines={number}"]
    status, said = first_output([tool, *options, *units], TOOL_TIMEOUT, JOURNAL)
    if status is None and not said:
        raise TimeoutError(f"no answer within {TOOL_TIMEOUT} s")
    # The lines of an entry after its first one are indented.
    entries = re.split(r"\n(?! )", said.rstrip("\n"))
    return printable("\n".join(reversed(entries)), JOURNAL)


def examined(what: str, function: Callable[[], Any], empty: Any, unanswered: list[str], seconds: float) -> Any:
    """Return the result of a function that can hang in the kernel; ``empty`` if it has none in time.

    Parameters
    ----------
    what : str
        What the function examines.
    function : callable
        Takes no arguments.
    empty : any
        Result if the function fails.
    unanswered : list of str
        Gets a sentence if the function fails.
    seconds : float
        Seconds that the function may take.
    """
    try:
        return in_child(function, seconds)
    except TimeoutError:
        unanswered.append(f"{printable(what)} did not answer within {seconds:g} s")
    except (OSError, ValueError) as error:
        unanswered.append(f"{printable(what)} could not be examined ({printable(str(error), 200)})")
    return empty


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "targets": {"type": "list", "elements": "list", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "scratch": {"type": "list", "elements": "str", "default": []},
            "accounts": {"type": "list", "elements": "str", "default": []},
            "journal": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    user = parameters["user"]
    targets = [(str(address), int(port)) for address, port in parameters["targets"]]
    links = interfaces(module)
    patience = 10 + CONNECT_TIMEOUT * (1 + len(targets) // 100)
    homes = list(dict.fromkeys(home_of(name) for name in [user, "root", *parameters["accounts"]]))
    own = home_of(user)
    own_configuration = os.path.join(own, ".config/dask")
    unanswered: list[str] = []

    def part(what: str, function: Callable[[], Any], empty: Any, more: float = 0.0) -> Any:
        return examined(what, function, empty, unanswered, FILES_TIMEOUT + more)

    def connected() -> list[str]:
        # As the services' account, because firewalls can have rules for accounts.
        return as_user(user, lambda: connect_all(targets, CONNECT_TIMEOUT), timeout=patience, effective=True)

    directories = {
        path: part(f"the directory {path}", functools.partial(scratch, path, user), None, PATIENCE)
        for path in parameters["scratch"]
    }
    module.exit_json(
        changed=False,
        connections=part("a connection", connected, ["not tried"] * len(targets), patience) if targets else [],
        resolved=addresses_of(parameters["names"]),
        reverse=names_of(parameters["addresses"]),
        mtus=mtus(parameters["addresses"], links, user),
        interfaces=links,
        limits=limits(),
        memory=memory(),
        cgroups=cgroups(),
        scratch={path: about for path, about in directories.items() if about},
        synchronized=synchronized(module),
        selinux=selinux(module),
        leftovers={
            "conda": part("a file of login shells", lambda: conda_profiles(homes), []),
            "packages": part(f"a directory of packages in {own}", lambda: user_packages(own), []),
            "system_configuration": part(CONFIGURATION, lambda: configuration_files(CONFIGURATION), []),
            "configuration": part(own_configuration, lambda: configuration_files(own_configuration), []) if own else [],
            "units": part("a directory of units", other_units, []),
            "processes": part("a process in /proc", stray_processes, []),
        },
        gpus=part("a GPU or its driver", lambda: gpus(module), NO_GPUS, TOOL_TIMEOUT),
        restarting=restarting(module),
        system=system(),
        journal=part("the journal", lambda: journal(module, parameters["journal"]), "", TOOL_TIMEOUT),
        unanswered=unanswered,
    )


if __name__ == "__main__":
    main()
