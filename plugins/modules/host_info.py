#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Report what a host has for Dask
version_added: "0.1.0"
description:
  - Reports in one execution everything that the plan of a host's Dask services depends on. Changes nothing.
  - Replaces fact gathering, which takes longer and lacks most of these values.
  - The controller fills in the options that a task leaves out, from the variables of the collection.
  - The controller validates the type and the form of each value, and fails with the names of invalid values.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
options:
  optional:
    description: Whether to warn and return nothing, instead of failing, if the host cannot be reached.
    type: bool
    default: false
  home:
    description: Directory of the collection on the host, with its environments and releases.
    type: path
  python:
    description: Interpreter that environments are built with, a path or a name on the search path.
    type: str
    default: python3
  user:
    description: Account that the services will run as.
    type: str
  groups:
    description: Groups, by name or number, that the services will have in addition to those of O(user).
    type: list
    elements: str
    default: []
  import_paths:
    description: Directories from which the services will import modules.
    type: list
    elements: str
    default: []
  paths:
    description: Directories and devices to describe, existing or not.
    type: list
    elements: str
    default: []
  files:
    description: Files that should exist.
    type: list
    elements: str
    default: []
  proxy_site:
    description: Path of the collection's site in nginx; empty for none.
    type: path
    default: ""
  scheduler_host:
    description: Name or address of the scheduler's host, which is resolved; empty for none.
    type: str
    default: ""
  client_scheduler_host:
    description: Name or address with which clients connect to the scheduler on this host; empty for none.
    type: str
    default: ""
  scheduler_port:
    description: Port of a running scheduler at O(scheduler_host) to connect to; 0 for none.
    type: int
    default: 0
  interface:
    description: Interface whose address services will listen at; empty for the interface that leads to O(scheduler_host).
    type: str
    default: ""
  bind_address:
    description: Address of this host that services will listen at; empty for the address of O(interface).
    type: str
    default: ""
  worker_interfaces:
    description: Interfaces at whose addresses workers will listen, if they have other addresses than the scheduler.
    type: list
    elements: str
    default: []
  lock:
    description:
      - Arguments of M(daskops.cluster.cluster_lock). The module takes this lock first, and inspects nothing if another run
        holds it.
    type: dict
  firewall:
    description: Firewall that will filter the host's ports.
    type: str
    choices: [none, nftables, firewalld, ufw]
    default: none
"""

EXAMPLES = r"""
- name: Inspect the host
  daskops.cluster.host_info:
    home: /opt/dask
    user: dask
    paths:
      - /opt/dask
      - /var/lib/dask/scratch
  register: host

- name: Show how much memory it has
  ansible.builtin.debug:
    msg: "{{ host.memory }} bytes, {{ host.cpus | length }} cores"
"""

RETURN = r"""
clock:
  description:
    - Least and greatest number of seconds that the host's clock can be ahead of the controller's, negative if it is behind.
    - The precision depends on how long the module took.
  type: list
  elements: float
  returned: always
  sample: [-0.6, 0.4]
cpus:
  description: Numbers of the CPUs that processes may use.
  type: list
  elements: int
  returned: always
  sample: [0, 1, 2, 3]
cores:
  description: The physical cores with such CPUs, each as the numbers of its CPUs, of which it has several with hyperthreads.
  type: list
  elements: list
  returned: always
  sample: [[0, 2], [1, 3]]
cpu_limit:
  description:
    - Number of CPUs whose time all processes together may use, rounded up, by the quota of the root control group (of a
      container).
    - 0 if there is no quota.
  type: int
  returned: always
  sample: 0
nodes:
  description: The NUMA nodes with such CPUs, by C(id), each with its C(cpus).
  type: list
  elements: dict
  returned: always
  sample: [{id: 0, cpus: [0, 1, 2, 3]}]
gpus:
  description:
    - NVIDIA GPUs from their driver, in the order of the bus, each with C(index), C(uuid), C(model) and the NUMA C(node),
      null if unknown. The driver does not know the UUID before the first use of a GPU.
  type: list
  elements: dict
  returned: always
  sample: [{index: 0, uuid: GPU-8f6d52a1-3f6d-4c3b-9d0f-2b7d8e0c5a11, model: NVIDIA H100, node: 0}]
memory:
  description: Bytes of memory, or of the container's limit if that is lower.
  type: int
  returned: always
  sample: 33554432000
systemd:
  description: Whether systemd runs the host.
  type: bool
  returned: always
selinux_type:
  description:
    - SELinux type of programs in the environments below O(home), by the host's policy. Empty if SELinux is not enforced.
  type: str
  returned: always
  sample: bin_t
python:
  description: The interpreter of O(python); empty if it does not work.
  type: dict
  returned: always
  contains:
    executable:
      description: Its path.
      type: str
    version:
      description: Its full version.
      type: str
    implementation:
      description: Its implementation, in lower case.
      type: str
    prefix:
      description: Directory of its installation, also for the interpreter of a virtual environment.
      type: str
    machine:
      description: The processor's architecture.
      type: str
    libc:
      description: Name and version of the C library.
      type: list
      elements: str
    usable:
      description: Whether O(user) may run it.
      type: bool
    changeable:
      description:
        - The directory or file on its path that O(user) could change, so that root must not run it. Then only
          C(executable) is reported with it.
      type: str
  sample:
    executable: /usr/bin/python3
    version: 3.11.2
    implementation: cpython
    prefix: /usr
    machine: x86_64
    libc: [glibc, "2.36"]
    usable: true
changeable:
  description: The directory on the path of O(home) that O(user) could change; empty if there is none.
  type: str
  returned: always
file_systems:
  description:
    - By path of O(paths), whether it C(exists), C(type), C(mount) point and C(free) bytes of its file system, and whether
      it is C(writable) for O(user).
    - A directory that does not exist yet counts as writable.
  type: dict
  returned: always
groups:
  description: Number of each group of O(groups); null if it does not exist.
  type: dict
  returned: always
  sample: {data: 1005}
import_paths:
  description:
    - By path of O(import_paths), whether it is a directory that O(user) is able to read (C(readable)), and the directory on
      its path that O(user) could change (C(changeable)), empty if there is none.
  type: dict
  returned: always
  sample: {/shared/code: {readable: true, changeable: ""}}
missing:
  description: Those of O(files) that do not exist.
  type: list
  elements: str
  returned: always
proxy:
  description: The state of the proxy of the dashboard.
  type: dict
  returned: always
  contains:
    nginx:
      description: Whether nginx is installed.
      type: bool
    port:
      description: The port of the collection's site; 0 without a site.
      type: int
    confined:
      description: Whether SELinux keeps web servers from connecting to other services.
      type: bool
  sample: {nginx: true, port: 8443, confined: false}
listeners:
  description: The listening TCP sockets, each with C(port), C(process) and systemd C(unit).
  type: list
  elements: dict
  returned: always
address:
  description:
    - Address that services will listen at - O(bind_address), the first one of O(interface), or the one from which this
      host connects to O(scheduler_host). It is an IPv6 address only if there is no IPv4 address.
    - Empty if there is no such address.
  type: str
  returned: always
  sample: 10.0.0.2
worker_addresses:
  description: The first address by interface of O(worker_interfaces); empty for an interface without one.
  type: dict
  returned: always
  sample: {eth1: 10.1.0.2}
client_addresses:
  description: Addresses of this host that O(client_scheduler_host) resolves to.
  type: list
  elements: str
  returned: always
  sample: [192.0.2.10]
route:
  description:
    - Addresses at the two ends of the route from this host to O(scheduler_host), its own first.
    - Empty if there is no route.
  type: list
  elements: str
  returned: always
  sample: [10.0.0.2, 10.0.0.1]
unresolved:
  description: Why O(scheduler_host) cannot be resolved to an address; empty if it can, or is not given.
  type: str
  returned: always
  sample: "Name or service not known"
refused:
  description: Why the host cannot connect to O(scheduler_port); empty if it can, or no port is given.
  type: str
  returned: always
  sample: Connection refused
machine:
  description:
    - Identifier of this machine until its next boot, which differs also between containers and clones of virtual machines.
    - Empty if it cannot be read.
  type: str
  returned: always
firewall:
  description: The firewalls of the host.
  type: dict
  returned: always
  contains:
    foreign:
      description: Active firewalls that the collection does not manage, such as C(ufw).
      type: list
      elements: str
    usable:
      description:
        - Which of C(nftables), C(firewalld) and C(ufw) work here; checked only if O(firewall) is not V(none).
        - C(ufw) must close ports by default, also for RV(address).
      type: list
      elements: str
    installed:
      description: Firewalls with installed rules of the collection.
      type: list
      elements: str
    loaded:
      description: Whether the collection's nftables table is loaded.
      type: bool
    cluster:
      description: The networks of the cluster's hosts in the installed rules.
      type: list
      elements: str
current:
  description:
    - The current release of the host, with its C(id), C(environment), C(label), C(services) and C(units), and the time at
      which it was C(staged).
    - C(content) is a digest of its files and its environment's path. C(settled) lists the kinds of service that have served
      with it, whose unit files are those of the release, and that start at boot.
    - Empty if there is none.
  type: dict
  returned: always
previous:
  description: The release before RV(current), with the same keys.
  type: dict
  returned: always
serving:
  description: The release that the scheduler was started from, with the same keys, if it is not RV(current); else empty.
  type: dict
  returned: always
unfinished:
  description:
    - Time at which the newest release after the current one was staged; 0 if there is none.
    - Such releases belong to a change that was not finished, or was reverted.
  type: int
  returned: always
known:
  description: The releases of services that have served on the host or were tried there.
  type: list
  elements: str
  returned: always
  sample: [3f2a91c04d5e.7b21]
running:
  description:
    - Release by unit of the running Dask services; null for a service without a process.
    - It ends with C((another unit)) if the unit in C(/etc/systemd/system) is not that of the release.
  type: dict
  returned: always
  sample: {dask-worker@1.service: 3f2a91c04d5e.7b21}
dashboard:
  description:
    - Port and path at which the scheduler that runs on this host serves its dashboard; empty if there is none or if its
      release does not say.
  type: str
  returned: always
  sample: 8787/dask/
scheduler_environment:
  description: Id of the environment that the scheduler on this host runs; empty if there is none.
  type: str
  returned: always
account:
  description: The C(home) and C(comment) of O(user), and whether its home exists (C(at_home)); empty without that user.
  type: dict
  returned: always
  sample: {home: /var/lib/dask, comment: Dask, at_home: true}
encrypted:
  description: Whether the services of the current release encrypt their connections; null if there is no release.
  type: bool
  returned: always
authorities:
  description: SHA-256 of the CA certificates that the services of this host trust.
  type: list
  elements: str
  returned: always
certificates:
  description: The certificates of the host's services.
  type: dict
  returned: always
  contains:
    installed:
      description: Digest, mode and owner of the files below C(tls) in O(home), by name.
      type: dict
    loaded:
      description: Digest of the certificates that each running service has loaded, by unit.
      type: dict
  sample:
    installed: {ca.pem: [5d0a41b9c7e2, 420, root], worker.pem: [e83c1f0a9b64, 256, dask]}
    loaded: {dask-worker@1.service: 9f3c2e7a1b50}
environments:
  description: The complete environments on the host by id, each as M(daskops.cluster.environment) returned it.
  type: dict
  returned: always
versions:
  description:
    - The versions that the Dask services of the host run or, if stopped, would start with. One entry for each environment.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: The environment's id.
      type: str
    lock:
      description: SHA-256 of the lock that it was built from; empty if it is not recorded.
      type: str
    python:
      description: Full version of its interpreter.
      type: str
    packages:
      description: Version by package.
      type: dict
    releases:
      description: Releases of the services that run in it, without the part that differs between services.
      type: list
      elements: str
    labels:
      description: Labels of these releases, if they have one.
      type: dict
"""

import contextlib
import glob
import hashlib
import ipaddress
import json
import os
import pwd
import re
import time
from typing import Any, Callable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user, changeable
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    fingerprints,
    installed_files,
    loaded_certificates,
)
from ansible_collections.daskops.cluster.plugins.module_utils.directories import group_number
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import foreign_firewalls, ufw_filters
from ansible_collections.daskops.cluster.plugins.module_utils.history import current_release
from ansible_collections.daskops.cluster.plugins.module_utils.processes import running_services
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    read_environment,
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
from ansible_collections.daskops.cluster.plugins.module_utils.selinux import enforced, type_of
from ansible_collections.daskops.cluster.plugins.module_utils.takeover import old_peers
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
    unit_digests,
    unit_files,
)
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import lines, printable, read_text

# What `read_releases` returns.
Releases = Mapping[str, Mapping[str, Any]]

# This directory exists if and only if systemd is the first process.
SYSTEMD = "/run/systemd/system"

# CPUs, NUMA nodes and PCI devices of the kernel.
CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
PCI_DEVICES = "/sys/bus/pci/devices"

# Control groups. In a container, the root group is that of the container.
CONTROL_GROUPS = "/sys/fs/cgroup"

# The boot id, which changes at every boot, and the network devices.
BOOT_ID = "/proc/sys/kernel/random/boot_id"
NETWORK_DEVICES = "/sys/class/net"

# Whether SELinux lets web servers connect to other services: the current value and the pending one.
SELINUX_CONNECT = "/sys/fs/selinux/booleans/httpd_can_network_connect"
GPUS = "/proc/driver/nvidia/gpus"

# Files that the role `firewall` writes first and removes last.
FIREWALLS = {
    "nftables": "/etc/systemd/system/dask-firewall.service",
    "firewalld": "/etc/firewalld/policies/daskops.xml",
}

# File of the role with the networks of the cluster's hosts, and rules of an earlier version, which have them in a comment.
FIREWALL_PEERS = "/etc/dask-firewall.json"
FIREWALL_RULES = ("/etc/dask-firewall.nft", FIREWALLS["firewalld"])

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
    """Return the number of CPUs whose time the root control group may use, rounded up as by Dask; 0 for no limit."""
    legacy = " ".join(read(f"{CONTROL_GROUPS}/cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    # The quota is "max" (version 2) or -1 (version 1) if there is none.
    for text in (read(f"{CONTROL_GROUPS}/cpu.max"), legacy):
        found = re.match(r"(\d+) ([1-9]\d*)$", text.strip())
        if found:
            return max(1, -(-int(found.group(1)) // int(found.group(2))))
    return 0


def cpu_list(text: str) -> set[int]:
    """Return the numbers in a list of CPUs of the kernel, such as ``0-3,8``."""
    listed = re.findall(r"(\d+)(?:-(\d+))?", text)
    return {number for first, last in listed for number in range(int(first), int(last or first) + 1)}


def cores(cpus: list[int]) -> list[list[int]]:
    """Return the physical cores of ``cpus``, each with its CPUs. A CPU without a known core counts as one."""
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
    """Return whether the services' account may write to a directory, or the directory does not exist yet."""
    if not os.path.exists(path):
        return True
    if os.geteuid() != 0:
        return os.path.isdir(path) and os.stat(path).st_mode & 0o003 == 0o003  # the permissions of other users
    try:
        return as_services(module, lambda: os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK))
    except (OSError, ValueError):
        return False


def as_services(module: AnsibleModule, function: Callable[[], Any]) -> Any:
    """Return what a function returns with the rights that the services will have; raises as `as_user` does."""
    return as_user(module.params["user"], function, groups=module.params["groups"])


def import_path(module: AnsibleModule, path: str) -> dict[str, Any]:
    """Return whether the services could import modules from a directory, and the directory that they could change."""
    try:
        # On a network file system, root may have fewer rights than the user.
        readable = as_services(module, lambda: os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK))
        return {
            "readable": bool(readable),
            "changeable": changeable(module.params["user"], path, module.params["groups"]),
        }
    except (OSError, ValueError):  # a network file system that does not answer
        return {"readable": False, "changeable": ""}


def inspect_python(module: AnsibleModule) -> dict[str, Any]:
    """Return the interpreter for environments, and why root or the services' account must not run it."""
    # The path that sudo sets on RHEL lacks this directory.
    name = module.params["python"]
    interpreter = module.get_bin_path(name) or module.get_bin_path(name, opt_dirs=["/usr/local/bin"])
    user = module.params["user"]
    if not interpreter:
        return {}
    interpreter = os.path.abspath(interpreter)
    place = changeable(user, interpreter, module.params["groups"])
    if place:  # root must not run a program that this user can change
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
    except (KeyError, OSError, TypeError, ValueError):  # it cannot be run, or is not Python
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


def descriptors(process: str) -> set[str]:
    """Return the link targets of the open file descriptors of a process."""
    targets = set()
    with contextlib.suppress(OSError):  # the process has ended meanwhile
        for descriptor in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):  # the process has closed it meanwhile
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
    listens = re.search(r"listen (?:\S*:)?(\d+) ssl", read(module.params["proxy_site"]))
    return {
        "nginx": bool(module.get_bin_path("nginx")),
        "port": int(listens.group(1)) if listens else 0,
        "confined": confined(),
    }


def confined() -> bool:
    """Return whether SELinux keeps web servers from connecting to other services."""
    return enforced() and read(SELINUX_CONNECT).startswith("0")


def machine() -> str:
    """Return an identifier of this machine until its next boot; empty if it cannot be read.

    Containers on one machine have the same boot id, but process namespaces of their own. Clones of a virtual machine may
    have the same machine id and, if they were made while it ran, the same boot id, but network devices with other addresses.
    Virtual devices, such as those of containers, come and go, so they are ignored.
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
    """Return the release of the host that a service's release belongs to; empty if it is none of ``releases``."""
    found = (one for one in releases.values() if one["services"].get(kind_of(unit), {}).get(unit) == release)
    return next(found, {}) if release else {}


def serving(scheduler: str, current: Mapping[str, Any], releases: Releases) -> Mapping[str, Any]:
    """Return the release that the scheduler was started from if it is not the current one; else empty."""
    if current.get("services", {}).get("scheduler", {}).get("dask-scheduler.service") == scheduler:
        return {}
    return release_of("dask-scheduler.service", scheduler, releases)


def other_unit(unit: str, release: str, releases: Releases) -> str:
    """Return `OTHER_UNIT` if systemd would start a service with another unit than that of its release; else empty."""
    wanted = release_of(unit, release, releases).get("unit_digests", {}).get(kind_of(unit))
    return "" if wanted is None or same_unit(unit, unit_digests(unit_files(kind_of(unit))), wanted) else OTHER_UNIT


def described(home: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the controller needs to activate a release again; empty if there is no release."""
    if not release:
        return {}
    try:
        units = read_units(home, release)
    except (OSError, ValueError):  # a file of the release is missing or damaged: it is staged again
        return {}
    return {
        **{key: release[key] for key in ("id", "environment", "label", "staged", "served", "services")},
        "units": units,
    }


def current_state(module: AnsibleModule, home: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``content``, ``settled`` and ``enabled`` of `current`, which show whether something has to change."""
    if not release:
        return {}
    path = os.path.join(home, "releases", release["id"])
    try:
        content = tree_digest(read_tree(path), os.readlink(os.path.join(path, "environment")))
        shown = show_units(module, ["ActiveState", "UnitFileState"], sorted(BOOT.values()))
    except (OSError, SystemctlError):
        return {"content": "", "settled": [], "enabled": []}
    starts = {unit: (about["ActiveState"], about["UnitFileState"]) for unit, about in shown.items()}
    kept = glob.glob(os.path.join(KEPT, "dask-worker@*"))
    settled = [
        kind
        for kind, units in release["units"].items()
        if kind in release["served"]
        and starts.get(BOOT[kind]) == ("active", "enabled")
        and unit_files(kind) == units
        and not (kind == "worker" and kept)
    ]
    enabled = [kind for kind, unit in BOOT.items() if starts.get(unit, ("", ""))[1] == "enabled"]
    return {"content": content, "settled": settled, "enabled": enabled}


def versions(
    environments: str, runs: Mapping[str, str | None], current: Mapping[str, Any], releases: Releases
) -> list[dict[str, Any]]:
    """Return the environments that services run or, if stopped, would start with, and the releases of the services."""
    services = {unit: release for kind in current.get("services", {}).values() for unit, release in kind.items()}
    services.update((unit, release.replace(OTHER_UNIT, "")) for unit, release in runs.items() if release)
    found: dict[str, dict[str, str]] = {}
    # The current release first: a scheduler that a new label did not restart belongs to several releases.
    known = {"current": current, **releases} if current else releases
    for unit, release in services.items():
        about = release_of(unit, release, known)
        if about:
            found.setdefault(about["environment"], {})[release.split(".")[0]] = about["label"]
    unknown = {"lock": "", "python": "", "packages": {}}
    return [
        {
            "id": name,
            **unknown,
            **read_environment(os.path.join(environments, name)),
            "releases": sorted(labels),
            "labels": {release: label for release, label in labels.items() if label},
        }
        for name, labels in sorted(found.items())
    ]


def unfinished(current: Mapping[str, Any], releases: Releases) -> int:
    """Return the time at which the newest release was staged if it is newer than the current one; else 0."""
    staged = [release["staged"] for release in releases.values()]
    return max((when for when in staged if when > current.get("staged", 0)), default=0)


def account(name: str) -> dict[str, Any]:
    """Return home and comment of a user, from any source of the host's name service."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return {}
    return {"home": entry.pw_dir, "comment": entry.pw_gecos, "at_home": os.path.isdir(entry.pw_dir)}


def address_to_listen_at(module: AnsibleModule) -> str:
    """Return the address that services will listen at; empty if this host does not have it."""
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
    """Return the SHA-256 of the CA certificates that services trust; none if the file is damaged."""
    try:
        return fingerprints(read(os.path.join(home, "tls", "ca.pem")))
    except ValueError:
        return []


def acquire(module: AnsibleModule, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take the lock of the cluster, and return what the module `cluster_lock` returns.

    Ends this module if another run holds the lock.
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
            "user": {"type": "str"},
            "groups": {"type": "list", "elements": "str", "default": []},
            "import_paths": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "str", "default": []},
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
    about_current = described(home, current)
    states = shown_services(module) if os.path.isdir(SYSTEMD) else {}
    runs = running(states, releases)
    scheduler = (runs.get("dask-scheduler.service") or "").replace(OTHER_UNIT, "")
    environments = os.path.join(home, "environments")
    # Hidden directories are incomplete and not listed.
    usable = {os.path.basename(path): read_usable_environment(path) for path in glob.glob(f"{environments}/*")}
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
        changeable=changeable(module.params["user"], home, module.params["groups"]),
        groups={name: group_number(name) for name in module.params["groups"]},
        import_paths={path: import_path(module, path) for path in module.params["import_paths"]},
        file_systems={
            path: {**file_system(path), "exists": os.path.exists(path), "writable": writable(module, path)}
            for path in module.params["paths"]
        },
        missing=[path for path in module.params["files"] if not os.path.isfile(path)],
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
        current={**about_current, **current_state(module, home, about_current)},
        previous=described(home, releases.get(current.get("previous", ""), {})),
        unfinished=unfinished(current, releases),
        account=account(module.params["user"]),
        encrypted=current.get("tls"),
        certificates={
            "installed": installed_files(os.path.join(home, "tls")),
            "loaded": loaded_certificates(states),
        },
        authorities=authorities(home),
        environments={name: about for name, about in usable.items() if about},
        versions=versions(environments, runs, current, releases),
        clock=[started, time.time()],
        **found,
    )


if __name__ == "__main__":
    main()
