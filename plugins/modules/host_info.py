#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Report the hardware and the Dask services of a host
version_added: "0.1.0"
description:
  - Reports all properties of a host on which the plan of its Dask services depends, in one execution. Changes nothing.
  - Replaces fact gathering, which takes longer and lacks most of these values.
  - The controller sets omitted options from the variables of the collection.
  - The controller validates the type and the format of each returned value. Fails with the names of invalid values.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
  - daskops.cluster.inspection
options:
  optional:
    description: Whether an unreachable host causes a warning and an empty result instead of a failure.
    type: bool
    default: false
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

- name: Show the memory and the number of cores
  ansible.builtin.debug:
    msg: "{{ host.memory }} bytes, {{ host.cpus | length }} cores"
"""

RETURN = r"""
clock:
  description:
    - Bounds of the difference between the host's clock and the controller's, in seconds. Positive if the host's is ahead.
    - The shorter the module takes, the closer the bounds are.
  type: list
  elements: float
  returned: always
  sample: [-0.6, 0.4]
cpus:
  description: Numbers of the CPUs on which processes may run.
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
  description: The NUMA nodes that have any of RV(cpus), each with its C(id) and those of its C(cpus).
  type: list
  elements: dict
  returned: always
  sample: [{id: 0, cpus: [0, 1, 2, 3]}]
gpus:
  description:
    - NVIDIA GPUs that the driver reports, in bus order, each with C(index), C(uuid), C(model) and NUMA C(node).
    - The node is null if it is unknown. The driver reports no UUID before the first use of a GPU.
  type: list
  elements: dict
  returned: always
  sample: [{index: 0, uuid: GPU-8f6d52a1-3f6d-4c3b-9d0f-2b7d8e0c5a11, model: NVIDIA H100, node: 0}]
memory:
  description: Memory in bytes, or the container's memory limit if that is lower.
  type: int
  returned: always
  sample: 33554432000
systemd:
  description: Whether systemd is the init system of the host.
  type: bool
  returned: always
selinux_type:
  description:
    - SELinux type of programs in the environments below O(home) in the host's policy. Empty if SELinux is not enforced.
  type: str
  returned: always
  sample: bin_t
python:
  description: The interpreter O(python). Empty if it does not work.
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
        - The directory, link or file on its path that users other than root can change, with its owner and mode. Root
          must not run such an interpreter, so only C(executable) is returned besides.
      type: str
  sample:
    executable: /usr/bin/python3
    version: 3.11.2
    implementation: cpython
    prefix: /usr
    machine: x86_64
    libc: [glibc, "2.36"]
    usable: true
architecture:
  description: Architecture of the host's processor.
  type: str
  returned: always
  sample: x86_64
libc:
  description: Name and version of the C library of the host's system.
  type: list
  elements: str
  returned: always
  sample: [glibc, "2.36"]
pythons:
  description: Names of the complete managed Pythons below O(home).
  type: list
  elements: str
  returned: always
  sample: [3.13.18+20261110-x86_64]
changeable:
  description:
    - The directory or link on the path of O(home) that users other than root can change, with its owner and mode. Empty if
      there is none.
  type: str
  returned: always
file_systems:
  description:
    - Properties of O(paths), by path. C(exists) and C(writable) say whether the path exists, and whether O(user) may write
      to it. C(type), C(mount) and C(free) are the type, the mount point and the free bytes of its file system.
    - A directory that does not exist counts as writable.
  type: dict
  returned: always
groups:
  description: Number of each group of O(groups); null if it does not exist.
  type: dict
  returned: always
  sample: {data: 1005}
import_paths:
  description:
    - Properties of O(import_paths), by path. C(readable) says whether O(user) can read it and it is a directory.
    - C(changeable) is the directory on its path that O(user) can change. Empty if there is none.
  type: dict
  returned: always
  sample: {/shared/code: {readable: true, changeable: ""}}
missing:
  description: Those of O(files) that do not exist.
  type: list
  elements: str
  returned: always
time_zones:
  description: Whether systemd can use each of O(time_zones), by name.
  type: dict
  returned: always
  sample: {Europe/Berlin: true, Europe: false}
proxy:
  description: The state of the proxy of the dashboard.
  type: dict
  returned: always
  contains:
    nginx:
      description: Whether nginx is installed.
      type: bool
    port:
      description: Port of the site O(proxy_site). 0 if there is no site.
      type: int
    confined:
      description: Whether SELinux prevents web servers from connecting to other services.
      type: bool
  sample: {nginx: true, port: 8443, confined: false}
listeners:
  description: The listening TCP sockets, each with C(port), C(process) and systemd C(unit).
  type: list
  elements: dict
  returned: always
address:
  description:
    - Address at which services will listen. It is O(bind_address), the first address of O(interface), or the address from
      which this host connects to O(scheduler_host). It is an IPv6 address only if there is no IPv4 address.
    - Empty if there is no such address.
  type: str
  returned: always
  sample: 10.0.0.2
worker_addresses:
  description: The first address of each interface in O(worker_interfaces), by interface. Empty if it has none.
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
    - Addresses at the two ends of the route to O(scheduler_host), starting with the address of this host.
    - Empty if there is no route.
  type: list
  elements: str
  returned: always
  sample: [10.0.0.2, 10.0.0.1]
unresolved:
  description: Why O(scheduler_host) cannot be resolved to an address. Empty if it can, or if it is not set.
  type: str
  returned: always
  sample: "Name or service not known"
refused:
  description: Why the host cannot connect to O(scheduler_port). Empty if it can, or if no port is set.
  type: str
  returned: always
  sample: Connection refused
machine:
  description:
    - Identifier of this machine until its next boot. Containers and clones of virtual machines have different identifiers.
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
        - Those of C(nftables), C(firewalld) and C(ufw) that work on the host. Checked only if O(firewall) is not V(none).
        - C(ufw) must close ports by default, also for RV(address).
      type: list
      elements: str
    installed:
      description: Firewalls in which rules of the collection are installed.
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
    - The current release of the host, with its C(id), C(environment), C(application), C(label) and C(services).
    - C(staged) is the time when it was staged, in seconds since the epoch. C(served) lists the kinds of service that have
      served with it.
    - C(content) is a digest of its files and of the paths of its environment and application.
    - C(settled) lists the kinds in C(served) whose unit files are those of the release and whose services start at boot.
      C(enabled) lists the kinds whose services start at boot.
    - Empty if there is none.
  type: dict
  returned: always
previous:
  description: The release before RV(current), with the same keys except C(content) and C(settled).
  type: dict
  returned: always
serving:
  description:
    - The release from which the scheduler was started, with the same keys as RV(previous).
    - Empty if it is RV(current).
  type: dict
  returned: always
unfinished:
  description:
    - Time when the newest release was staged, in seconds since the epoch. 0 if it is RV(current).
    - A newer release than RV(current) belongs to a change that was not finished or was reverted.
  type: int
  returned: always
known:
  description: The releases whose services have served on the host or were started there in a trial.
  type: list
  elements: str
  returned: always
  sample: [3f2a91c04d5e.7b21]
running:
  description:
    - Release of each running Dask service, by unit. Null for a service without a process.
    - It ends with C((another unit)) if the unit file in C(/etc/systemd/system) differs from the one in the release.
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
  description: Id of the environment in which the scheduler on this host runs. Empty if no scheduler runs.
  type: str
  returned: always
account:
  description:
    - The account of O(user), with its C(home) and C(comment). C(at_home) says whether the home directory exists, and
      C(root) whether it is another name of root.
    - Empty if the account does not exist.
  type: dict
  returned: always
  sample: {home: /var/lib/dask, comment: Dask, at_home: true, root: false}
encrypted:
  description: Whether the services of the current release encrypt their connections. Null if there is no release.
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
      description: Digest, mode and owner of each file below C(tls) in O(home), by name.
      type: dict
    loaded:
      description: Digest of the certificates that each running service has loaded, by unit.
      type: dict
    current:
      description: Digest that services with the installed files would report, by their kind.
      type: dict
    public:
      description:
        - The certificates in each installed file in PEM format, without keys, by the name of the file without C(.pem). The
          text of a service begins with the line of its file that has the expiry.
        - A file that is too long, or whose key does not belong to its certificate, is left out.
      type: dict
  sample:
    installed: {ca.pem: [5d0a41b9c7e2, 420, root], worker.pem: [e83c1f0a9b64, 256, dask]}
    loaded: {dask-worker@1.service: 9f3c2e7a1b50}
    current: {worker: 9f3c2e7a1b50}
environments:
  description: The complete environments on the host, by id. Each is RV(daskops.cluster.environment#module:environment).
  type: dict
  returned: always
applications:
  description: The complete applications on the host by id, each as M(daskops.cluster.application) returned it.
  type: dict
  returned: always
environment_paths:
  description:
    - The environments outside of O(home) by path - that of O(environment_path), and those of the current and the previous
      release. They belong to others, and may have changed since a release was staged.
  type: dict
  returned: always
  contains:
    changeable:
      description: The directory or file that O(user) could change, so that the environment is not used; else empty.
      type: str
    problem:
      description: Why it cannot be used; empty if it can.
      type: str
    python:
      description: Full version of its interpreter.
      type: str
    implementation:
      description: Implementation of its interpreter.
      type: str
    prefix:
      description: Its directory without symbolic links.
      type: str
    base_prefix:
      description: Directory of its interpreter.
      type: str
    packages:
      description: Version by Python package.
      type: dict
    conda:
      description: The packages of conda, each as C(NAME-VERSION-BUILD).
      type: list
      elements: str
    by_conda:
      description: Those of the Python packages that conda installed.
      type: list
      elements: str
versions:
  description:
    - The environments of the host's Dask services. For a stopped service, it is the environment in which it would start.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: The environment's id.
      type: str
    lock:
      description: SHA-256 of the lock from which it was built. Empty if it is not recorded.
      type: str
    archive:
      description: SHA-256 of the archive that it was unpacked from, instead of a lock.
      type: str
    path:
      description: Directory of an environment that exists on the host, instead of a lock.
      type: str
    managed_python:
      description: Name of the managed Python that it uses, if any.
      type: str
    python:
      description: Full version of its interpreter.
      type: str
    packages:
      description: Version by package.
      type: dict
    releases:
      description: Releases of the services that run in it. Only the part before the dot, which all services have in common.
      type: list
      elements: str
    labels:
      description: Labels of these releases, if they have one.
      type: dict
    applications:
      description: Ids of the applications of these releases, if they have one.
      type: dict
"""
