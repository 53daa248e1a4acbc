#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inspect_host
short_description: Inspect a host
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.host_info), which validates the result, and by
    M(daskops.cluster.cluster_lock).
  - Returns the keys of M(daskops.cluster.host_info) as the host reports them.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
  - daskops.cluster.inspection
options:
  lock:
    description:
      - Arguments of M(daskops.cluster.take_cluster_lock). The module takes this lock first. If another run holds the lock,
        the module inspects nothing.
    type: dict
"""

EXAMPLES = r"""
- name: Inspect the host
  daskops.cluster.inspect_host:
    home: /opt/dask
    user: dask
    paths:
      - /opt/dask
"""

RETURN = r"""
clock:
  description: Time of the host before and after the inspection, in seconds since the epoch.
  type: list
  elements: float
  returned: success
  sample: [1792233600.1, 1792233601.4]
lock:
  description: Result of M(daskops.cluster.take_cluster_lock). If another run holds the lock, the only key of the result.
  type: dict
  returned: with O(lock)
"""

import contextlib
import glob
import hashlib
import ipaddress
import json
import os
import platform
import pwd
import re
import time
from typing import Any, Callable, Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user, changeable
from ansible_collections.daskops.cluster.plugins.module_utils.applications import read_application
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    fingerprints,
    installed_digests,
    installed_files,
    loaded_certificates,
    owner,
    public_certificates,
)
from ansible_collections.daskops.cluster.plugins.module_utils.directories import group_number
from ansible_collections.daskops.cluster.plugins.module_utils.existing_environments import inspect
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import foreign_firewalls, ufw_filters
from ansible_collections.daskops.cluster.plugins.module_utils.history import current_release
from ansible_collections.daskops.cluster.plugins.module_utils.hours import zone_file
from ansible_collections.daskops.cluster.plugins.module_utils.processes import running_services
from ansible_collections.daskops.cluster.plugins.module_utils.pythons import complete_pythons
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    read_environment,
    read_links,
    read_releases,
    read_tree,
    read_units,
    read_usable_environment,
    started_services,
    tree_digest,
)
from ansible_collections.daskops.cluster.plugins.module_utils.restarts import OTHER_UNIT
from ansible_collections.daskops.cluster.plugins.module_utils.routes import (
    bound,
    interface_address,
    own_addresses,
    refused,
    route,
    unresolved,
)
from ansible_collections.daskops.cluster.plugins.module_utils.run_lock import LockError, RunLock
from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import changeable_by_others
from ansible_collections.daskops.cluster.plugins.module_utils.selinux import enforced, type_of
from ansible_collections.daskops.cluster.plugins.module_utils.takeover import old_peers, old_proxy_port
from ansible_collections.daskops.cluster.plugins.module_utils.ufw import FILES as UFW_FILES
from ansible_collections.daskops.cluster.plugins.module_utils.ufw import own_rules, read_rules
from ansible_collections.daskops.cluster.plugins.module_utils.units import (
    BOOT,
    KEPT,
    SystemctlError,
    kind_of,
    same_unit,
    show_units,
    shown_services,
    triggers_of,
    unit_digests,
    unit_files,
)
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import lines, printable, read_text

# Result of `read_releases`.
Releases = Mapping[str, Mapping[str, Any]]

# This directory exists if and only if systemd is the first process.
SYSTEMD = "/run/systemd/system"

# The kernel's list of CPUs, NUMA nodes and PCI devices.
CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
PCI_DEVICES = "/sys/bus/pci/devices"

# Control groups. In a container, the root group is the group of the container.
CONTROL_GROUPS = "/sys/fs/cgroup"

# The boot id, which changes at every boot, and the network devices.
BOOT_ID = "/proc/sys/kernel/random/boot_id"
NETWORK_DEVICES = "/sys/class/net"

# Whether SELinux lets web servers connect to other services. The file has the current value and the pending one.
SELINUX_CONNECT = "/sys/fs/selinux/booleans/httpd_can_network_connect"
GPUS = "/proc/driver/nvidia/gpus"

# The role `firewall` writes these files first and removes them last.
FIREWALLS = {
    "nftables": "/etc/systemd/system/dask-firewall.service",
    "firewalld": "/etc/firewalld/policies/daskops.xml",
}

# The networks of the cluster's hosts: a file of the role `firewall`, and rules of an earlier version, with a comment.
FIREWALL_PEERS = "/etc/dask-firewall.json"
FIREWALL_RULES = ("/etc/dask-firewall.nft", FIREWALLS["firewalld"])

# File of the role proxy with the port of its site.
PROXY = "/etc/dask-proxy.json"

# This directory exists if firewalld has policies (0.9 and newer).
FIREWALLD_POLICIES = "/usr/lib/firewalld/policies"

# Largest file that is read, in bytes. The lists of connections and mounts in /proc can be long.
LIMIT = 64 * 1024**2

PROBE = (
    "import json, os, platform, sys; "
    "print(json.dumps(dict(executable=sys.executable, version='%d.%d.%d' % sys.version_info[:3], "
    "implementation=sys.implementation.name, prefix=sys.base_prefix, machine=platform.machine(), libc=platform.libc_ver())))"
)


def read(path: str) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        return read_text(path, LIMIT)
    except (OSError, ValueError):
        return ""


def memory() -> int:
    """Return the bytes of memory, or the limit of the root control group (of a container) if it is lower."""
    (kibibytes,) = re.findall(r"MemTotal:\s+(\d+) kB", read("/proc/meminfo"))
    total = int(kibibytes) * 1024
    files = ("memory.max", "memory/memory.limit_in_bytes")
    limits = [read(f"{CONTROL_GROUPS}/{file}").strip() for file in files]
    return min([total, *(int(limit) for limit in limits if limit.isdigit())])


def cpu_limit() -> int:
    """Return the number of CPUs whose time the root control group may use, rounded up like in Dask; 0 for no limit."""
    legacy = " ".join(read(f"{CONTROL_GROUPS}/cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    # The quota is "max" (version 2) or -1 (version 1) if there is none.
    for text in (read(f"{CONTROL_GROUPS}/cpu.max"), legacy):
        found = re.match(r"(\d+) ([1-9]\d*)$", text.strip())
        if found:
            return max(1, -(-int(found.group(1)) // int(found.group(2))))
    return 0


def cpu_list(text: str) -> set[int]:
    """Return the numbers in a list of CPUs in the kernel's format, such as ``0-3,8``."""
    listed = re.findall(r"(\d+)(?:-(\d+))?", text)
    return {number for first, last in listed for number in range(int(first), int(last or first) + 1)}


def cores(cpus: list[int]) -> list[list[int]]:
    """Return the CPUs of each physical core that has any of ``cpus``. A CPU without a known core counts as a core."""
    found: list[list[int]] = []
    left = set(cpus)
    while left:
        first = min(left)
        here = (cpu_list(read(f"{CPUS}/cpu{first}/topology/thread_siblings_list")) | {first}) & left
        found.append(sorted(here))
        left -= here
    return found


def nodes(cpus: list[int]) -> list[dict[str, Any]]:
    """Return the NUMA nodes that have any of ``cpus``."""
    found = []
    for path in glob.glob(f"{NODES}/node[0-9]*"):
        here = cpu_list(read(f"{path}/cpulist")) & set(cpus)
        if here:
            found.append({"id": int(path.rpartition("node")[2]), "cpus": sorted(here)})
    return sorted(found, key=lambda node: node["id"])


def gpus() -> list[dict[str, Any]]:
    """Return the NVIDIA GPUs in the order of the bus, which is the order of their numbers; none without a driver."""
    found: list[dict[str, Any]] = []
    for path in sorted(glob.glob(f"{GPUS}/*/information")):
        told = dict(re.findall(r"^(.+?):\s+(.*?)\s*$", read(path), re.MULTILINE))
        if told.get("GPU Excluded") == "Yes":  # by an option of the driver, so that programs do not see it
            continue
        bus = os.path.basename(os.path.dirname(path)).lower()
        node = read(f"{PCI_DEVICES}/{bus}/numa_node").strip()
        found.append(
            {
                "index": len(found),
                "uuid": told.get("GPU UUID", ""),  # the driver writes question marks until the first use
                "model": told.get("Model", ""),
                "node": int(node) if node.isdigit() else None,  # -1 if unknown
            }
        )
    return found


def writable(module: AnsibleModule, path: str) -> bool:
    """Return whether the services' account may write to a directory; true if the directory does not exist yet."""
    if not os.path.exists(path):
        return True
    if os.geteuid() != 0:
        return os.path.isdir(path) and os.stat(path).st_mode & 0o003 == 0o003  # the permissions of other users
    try:
        return as_services(module, lambda: os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK))
    except (OSError, ValueError):
        return False


def as_services(module: AnsibleModule, function: Callable[[], Any]) -> Any:
    """Call a function with the permissions that the services will have, and return its result; raises like `as_user`."""
    return as_user(module.params["user"], function, groups=module.params["groups"])


def import_path(module: AnsibleModule, path: str) -> dict[str, Any]:
    """Return whether services can import modules from a directory, and which directory on its path they can change."""
    try:
        # On a network file system, root may have fewer permissions than the user.
        readable = as_services(module, lambda: os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK))
        return {
            "readable": bool(readable),
            "changeable": changeable(module.params["user"], path, module.params["groups"]),
        }
    except (OSError, ValueError):  # a network file system that does not answer
        return {"readable": False, "changeable": ""}


def unsafe(module: AnsibleModule, path: str) -> str:
    """Return what users other than root can change on the way to a path that root uses; empty if there is nothing."""
    try:
        place = changeable(module.params["user"], path, module.params["groups"]) or changeable_by_others(path)
        if not place:
            return ""
        about = os.lstat(place)
        return f"{place} (owner {owner(about.st_uid)}, mode {about.st_mode & 0o7777:04o})"
    except (OSError, ValueError) as error:
        return f"{path} (not examined: {error})"


def inspect_python(module: AnsibleModule) -> dict[str, Any]:
    """Return the interpreter for environments, as in `RETURN`; only its path if root must not run it."""
    name = module.params["python"]
    if not name:
        return {}
    # On RHEL, the search path that sudo sets lacks this directory.
    interpreter = module.get_bin_path(name) or module.get_bin_path(name, opt_dirs=["/usr/local/bin"])
    if not interpreter:
        return {}
    interpreter = os.path.abspath(interpreter)
    place = unsafe(module, interpreter)
    if place:  # root must not run a program that others can change, also not to ask for its version
        return {"executable": interpreter, "changeable": place}
    try:
        answer = json.loads(module.run_command([interpreter, "-I", "-c", PROBE], handle_exceptions=False, cwd="/")[1])
        python = {
            name: answer[name] for name in ("executable", "version", "implementation", "prefix", "machine", "libc")
        }
        real = os.path.realpath(interpreter)
        usable = as_services(
            module, lambda: os.access(real, os.X_OK) and os.access(python["prefix"], os.R_OK | os.X_OK)
        )
    except (KeyError, OSError, TypeError, ValueError):  # the program cannot be run, or is not Python
        return {}
    return {**python, "usable": bool(usable)}


def file_system(path: str) -> dict[str, Any]:
    """Return type, mount point and free bytes of the file system of ``path``, which need not exist."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    path = os.path.realpath(path)
    mounts = {}
    for line in lines(read("/proc/self/mountinfo")):
        fields = line.split(" ")
        # A later line hides an earlier one of the same mount point. Spaces are octal escapes, such as \040.
        mounts[re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), fields[4])] = fields[
            fields.index("-") + 1
        ]
    while path not in mounts:
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    return {"type": mounts[path], "mount": path, "free": stat.f_bavail * stat.f_frsize}


def is_time_zone(path: str) -> bool:
    """Return whether a file has a time zone. systemd checks the same: other names begin a directory or a list."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(4) == b"TZif"
    except OSError:
        return False


def descriptors(process: str) -> set[str]:
    """Return the link targets of the open file descriptors of a process."""
    targets = set()
    with contextlib.suppress(OSError):  # the process has ended meanwhile
        for descriptor in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):  # the process has closed it
                targets.add(os.readlink(f"/proc/{process}/fd/{descriptor}"))
    return targets


def listeners() -> list[dict[str, Any]]:
    """Return the TCP ports that processes listen on, with process and unit."""
    ports = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in lines(read(table))[1:]:
            fields = line.split()
            if fields[3] == "0A":  # LISTEN
                ports[f"socket:[{fields[9]}]"] = int(fields[1].rsplit(":", 1)[1], 16)
    found = {}
    for process in filter(str.isdigit, os.listdir("/proc")):
        for link in descriptors(process) & ports.keys():
            unit = re.search(r"([^/\s]+\.(?:service|socket|scope))", read(f"/proc/{process}/cgroup"))
            found[ports[link]] = {
                "process": f"{printable(read(f'/proc/{process}/comm').strip())} (process {process})",
                "unit": unit.group(1) if unit else "",
            }
    unknown = {"process": "an unknown process", "unit": ""}
    return [{"port": port, **found.get(port, unknown)} for port in sorted(set(ports.values()))]


def proxy(module: AnsibleModule) -> dict[str, Any]:
    """Return whether nginx is installed, and the port of the collection's site."""
    return {
        "nginx": bool(module.get_bin_path("nginx")),
        "port": proxy_port(module.params["proxy_site"]),
        "confined": confined(),
    }


def proxy_port(site: str) -> int:
    """Return the port of the collection's site in nginx; 0 if there is none."""
    try:
        return int(json.loads(read_text(PROXY, LIMIT))["port"])
    except (KeyError, OSError, TypeError, ValueError):  # an earlier version installed the site, or the file is damaged
        return old_proxy_port(site)


def confined() -> bool:
    """Return whether SELinux prevents web servers from connecting to other services."""
    return enforced() and read(SELINUX_CONNECT).startswith("0")


def machine() -> str:
    """Return an identifier of this machine until its next boot; empty if it cannot be read.

    Containers on one machine have the same boot id, but different process namespaces. Clones of a virtual machine may have
    the same machine id. If they were made while the machine ran, they also have the same boot id. But the addresses of their
    network devices differ. Virtual devices, such as those of containers, change while a machine runs, so they are ignored.
    """
    boot = read(BOOT_ID).strip()
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    devices = glob.glob(os.path.join(NETWORK_DEVICES, "*", "device"))
    addresses = sorted(read(os.path.join(os.path.dirname(path), "address")).strip() for path in devices)
    return hashlib.sha256("\n".join([boot, namespace, *addresses]).encode()).hexdigest()[:32] if boot else ""


def running(states: Mapping[str, Mapping[str, str]], releases: Releases) -> dict[str, str | None]:
    """Return the release by unit of the running Dask services; None for one without a process."""
    return {
        unit: release + other_unit(unit, release, releases)
        if release and states[unit]["ActiveState"] == "active"
        else None
        for unit, release in running_services(states).items()
    }


def release_of(unit: str, release: str | None, releases: Releases) -> Mapping[str, Any]:
    """Return the one of ``releases`` to which the release of a service belongs; empty if there is none."""
    found = (one for one in releases.values() if one["services"].get(kind_of(unit), {}).get(unit) == release)
    return next(found, {}) if release else {}


def serving(scheduler: str, current: Mapping[str, Any], releases: Releases) -> Mapping[str, Any]:
    """Return the release from which the scheduler was started; empty if it is the current one."""
    if current.get("services", {}).get("scheduler", {}).get("dask-scheduler.service") == scheduler:
        return {}
    return release_of("dask-scheduler.service", scheduler, releases)


def other_unit(unit: str, release: str, releases: Releases) -> str:
    """Return `OTHER_UNIT` if the unit file that systemd has differs from the one in the service's release; else empty."""
    wanted = release_of(unit, release, releases).get("unit_digests", {}).get(kind_of(unit))
    return "" if wanted is None or same_unit(unit, unit_digests(unit_files(kind_of(unit))), wanted) else OTHER_UNIT


def described(home: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the controller needs to activate a release again; empty if there is no complete release."""
    if not release:
        return {}
    try:
        read_units(home, release)
    except (OSError, ValueError):  # a file is missing or damaged, so this run stages the release again
        return {}
    return {key: release[key] for key in ("id", "environment", "application", "label", "staged", "served", "services")}


def current_state(module: AnsibleModule, home: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """Return `current`, with ``content``, ``settled`` and ``enabled``, which show whether something has to change."""
    about = described(home, release)
    if not about:
        return {}
    path = os.path.join(home, "releases", release["id"])
    try:
        planned = read_units(home, release)
        content = tree_digest(read_tree(path), read_links(path))
        triggers = {kind: triggers_of(units) for kind, units in planned.items()}
        names = sorted({*BOOT.values(), *triggers.get("scheduler", ()), *triggers.get("worker", ())})
        shown = show_units(module, ["ActiveState", "UnitFileState"], names)
    except (OSError, SystemctlError):
        return {**about, "content": "", "settled": [], "enabled": []}
    starts = {unit: (about["ActiveState"], about["UnitFileState"]) for unit, about in shown.items()}
    kept = glob.glob(os.path.join(KEPT, "dask-worker@*"))
    settled = [
        kind
        for kind, units in planned.items()
        if kind in release["served"]
        and starts.get(BOOT[kind]) == ("active", "enabled")
        and all(starts.get(unit, ("", ""))[0] == "active" for unit in triggers[kind])
        and unit_files(kind) == units
        and not (kind == "worker" and kept)
    ]
    enabled = [kind for kind, unit in BOOT.items() if starts.get(unit, ("", ""))[1] == "enabled"]
    return {**about, "content": content, "settled": settled, "enabled": enabled}


def versions(
    environments: str, runs: Mapping[str, str | None], current: Mapping[str, Any], releases: Releases
) -> list[dict[str, Any]]:
    """Return the environments in which services run or, if stopped, would start; see `versions` in `RETURN`."""
    services = {unit: release for kind in current.get("services", {}).values() for unit, release in kind.items()}
    services.update((unit, release.replace(OTHER_UNIT, "")) for unit, release in runs.items() if release)
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    # Search the current release first. A scheduler that was not restarted for a new label belongs to several releases.
    known = {"current": current, **releases} if current else releases
    for unit, release in services.items():
        about = release_of(unit, release, known)
        if about:
            found.setdefault(about["environment"], {})[release.split(".")[0]] = about
    unknown = {"lock": "", "python": "", "packages": {}}
    return [
        {
            "id": name,
            **unknown,
            **read_environment(os.path.join(environments, name)),
            "releases": sorted(known),
            "labels": {release: about["label"] for release, about in known.items() if about["label"]},
            "applications": {release: about["application"] for release, about in known.items() if about["application"]},
        }
        for name, known in sorted(found.items())
    ]


def environment_paths(
    module: AnsibleModule, environments: Mapping[str, Mapping[str, Any]], releases: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the environments outside of the collection's directory contain, by path."""
    of_releases = [environments.get(release.get("environment", ""), {}).get("path", "") for release in releases]
    parameters = module.params
    return {
        path: inspect(path, parameters["user"], parameters["groups"], parameters["setup"])
        for path in dict.fromkeys([parameters["environment_path"], *of_releases])
        if path
    }


def unfinished(current: Mapping[str, Any], releases: Releases) -> int:
    """Return the time when the newest release was staged, in seconds since the epoch; 0 if it is the current one."""
    staged = [release["staged"] for release in releases.values()]
    return max((when for when in staged if when > current.get("staged", 0)), default=0)


def account(name: str) -> dict[str, Any]:
    """Return the properties of an account in any database of the host's name service; empty if unknown."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return {}
    about = {"home": entry.pw_dir, "comment": printable(entry.pw_gecos), "at_home": os.path.isdir(entry.pw_dir)}
    return {**about, "root": entry.pw_uid == 0}


def address_to_listen_at(module: AnsibleModule) -> str:
    """Return the address at which services will listen; empty if this host does not have it."""
    wanted, interface = module.params["bind_address"], module.params["interface"]
    if interface:
        return interface_address(module.run_command, interface)
    return bound(wanted) if wanted else next(iter(route(module.params["scheduler_host"])), "")


def firewall(module: AnsibleModule, address: str) -> dict[str, Any]:
    """Return the firewalls of the host, whose services listen at an address; see `firewall` in `RETURN`."""

    def works(*command: str) -> bool:
        program = module.get_bin_path(command[0])
        return bool(program) and module.run_command([program, *command[1:]])[0] == 0

    usable = []
    foreign = foreign_firewalls(module.run_command, module.get_bin_path)
    if module.params["firewall"] != "none":
        if works("nft", "list", "tables"):
            usable.append("nftables")
        if os.path.isdir(FIREWALLD_POLICIES) and works("systemctl", "is-active", "--quiet", "firewalld.service"):
            usable.append("firewalld")
        if "ufw" in foreign and module.get_bin_path("ufw") and ufw_filters(address):
            usable.append("ufw")
    installed = [name for name, file in FIREWALLS.items() if os.path.exists(file)]
    installed += ["ufw"] if own_rules(read_rules(map(read, UFW_FILES))) else []
    loaded = "nftables" in installed and works("nft", "list", "table", "inet", "daskops")
    return {
        "foreign": [name for name in foreign if name != module.params["firewall"]],
        "usable": usable,
        "installed": installed,
        "loaded": loaded,
        "cluster": firewall_peers(),
    }


def firewall_peers() -> list[str]:
    """Return the networks of the cluster's hosts in the installed rules; none if the file is damaged."""
    try:
        networks = json.loads(read_text(FIREWALL_PEERS, LIMIT))["cluster"]
        return [str(ipaddress.ip_network(str(network))) for network in networks]
    except FileNotFoundError:
        return old_peers(FIREWALL_RULES)
    except (KeyError, OSError, TypeError, ValueError):
        return []


def authorities(home: str) -> list[str]:
    """Return the SHA-256 of each CA certificate that services trust; none if the file is damaged."""
    try:
        return fingerprints(read(os.path.join(home, "tls", "ca.pem")))
    except ValueError:
        return []


def acquire(module: AnsibleModule, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take the lock of the cluster, and return the result of the module `take_cluster_lock`.

    If another run holds the lock, return that run as the result of this module.
    """
    lock = RunLock(arguments["id"], arguments["directory"])
    try:
        other = lock.acquire(arguments["holder"], float(arguments["lease"]))
    except LockError as error:
        module.fail_json(msg=str(error))
    if other:
        module.exit_json(changed=False, lock={"held": False, "holder": other})
    return {"held": True, "renew": lock.renew_command, "release": lock.release_command}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path"},
            "python": {"type": "str", "default": "python3"},
            "environment_path": {"type": "str", "default": ""},
            "setup": {"type": "dict", "default": {}},
            "user": {"type": "str"},
            "groups": {"type": "list", "elements": "str", "default": []},
            "import_paths": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "str", "default": []},
            "time_zones": {"type": "list", "elements": "str", "default": []},
            "proxy_site": {"type": "path", "default": ""},
            "scheduler_host": {"type": "str", "default": ""},
            "client_scheduler_host": {"type": "str", "default": ""},
            "scheduler_port": {"type": "int", "default": 0},
            "interface": {"type": "str", "default": ""},
            "bind_address": {"type": "str", "default": ""},
            "worker_interfaces": {"type": "list", "elements": "str", "default": []},
            "firewall": {"type": "str", "choices": ["none", "nftables", "firewalld", "ufw"], "default": "none"},
            "lock": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    found: dict[str, Any] = {}
    if module.params["lock"]:
        found["lock"] = acquire(module, module.params["lock"])
    started = time.time()
    scheduler_host, scheduler_port = module.params["scheduler_host"], module.params["scheduler_port"]
    client_host = module.params["client_scheduler_host"]
    home = module.params["home"]
    releases = read_releases(home)
    current = releases.get(current_release(home), {})
    about_current = current_state(module, home, current)
    about_previous = described(home, releases.get(current.get("previous", ""), {}))
    states = shown_services(module) if os.path.isdir(SYSTEMD) else {}
    runs = running(states, releases)
    scheduler = (runs.get("dask-scheduler.service") or "").replace(OTHER_UNIT, "")
    environments = os.path.join(home, "environments")
    # Hidden directories are incomplete and not listed.
    usable = {os.path.basename(path): read_usable_environment(path) for path in glob.glob(f"{environments}/*")}
    applications = {os.path.basename(path): read_application(path) for path in glob.glob(f"{home}/applications/*")}
    cpus = sorted(os.sched_getaffinity(0))
    address = address_to_listen_at(module)
    module.exit_json(
        changed=False,
        cpus=cpus,
        cores=cores(cpus),
        cpu_limit=cpu_limit(),
        nodes=nodes(cpus),
        gpus=gpus(),
        memory=memory(),
        systemd=os.path.isdir(SYSTEMD),
        selinux_type=type_of(module, os.path.join(module.params["home"], "environments/0/bin/python")),
        python=inspect_python(module),
        architecture=os.uname().machine,
        libc=list(platform.libc_ver()),
        pythons=complete_pythons(home),
        changeable=unsafe(module, home),
        groups={name: group_number(name) for name in module.params["groups"]},
        import_paths={path: import_path(module, path) for path in module.params["import_paths"]},
        file_systems={
            path: {**file_system(path), "exists": os.path.exists(path), "writable": writable(module, path)}
            for path in module.params["paths"]
        },
        missing=[path for path in module.params["files"] if not os.path.isfile(path)],
        time_zones={name: is_time_zone(zone_file(name)) for name in module.params["time_zones"]},
        proxy=proxy(module),
        listeners=listeners(),
        address=address,
        worker_addresses={
            name: interface_address(module.run_command, name) for name in module.params["worker_interfaces"]
        },
        client_addresses=own_addresses(client_host) if client_host else [],
        route=route(scheduler_host),
        unresolved=unresolved(scheduler_host) if scheduler_host else "",
        refused=refused(scheduler_host, scheduler_port) if scheduler_port else "",
        machine=machine(),
        firewall=firewall(module, address),
        known=started_services(releases),
        running=runs,
        dashboard=release_of("dask-scheduler.service", scheduler, releases).get("dashboard", ""),
        scheduler_environment=release_of("dask-scheduler.service", scheduler, releases).get("environment", ""),
        serving=described(home, serving(scheduler, current, releases)),
        current=about_current,
        previous=about_previous,
        unfinished=unfinished(current, releases),
        account=account(module.params["user"]),
        encrypted=current.get("tls"),
        certificates={
            "installed": installed_files(os.path.join(home, "tls")),
            "loaded": loaded_certificates(states),
            "current": installed_digests(os.path.join(home, "tls")),
            "public": public_certificates(os.path.join(home, "tls")),
        },
        authorities=authorities(home),
        environments={name: about for name, about in usable.items() if about},
        applications={name: about for name, about in applications.items() if about},
        environment_paths=environment_paths(module, usable, [about_current, about_previous]),
        versions=versions(environments, runs, current, releases),
        clock=[started, time.time()],
        **found,
    )


if __name__ == "__main__":
    main()
