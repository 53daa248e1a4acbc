# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all variables of the collection.

`tools/generate` (``make generate``) writes the argument specification, the defaults and the README of each role, and the
collection's README's table of variables, from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: A variable of a pool is called ``dask_worker_count``, and ``count`` in the settings of the pool.
POOL_PREFIX = "dask_worker_"


@dataclass(frozen=True)
class Setting:
    """A variable of the collection.

    Parameters
    ----------
    name : str
        Name of the variable.
    type : str
        Type in the argument specification.
    default : object
        Default; text with ``{{`` is an expression that Ansible evaluates.
    meaning : str
        First paragraph of the description, in the markup of Ansible's documentation.
    details : tuple of str
        More paragraphs.
    elements : str
        Type of a list's elements.
    choices : tuple of str
        The values that the variable can have; empty for any.
    minimum, maximum : int, optional
        Bounds of a whole number.
    secret : bool
        Whether messages and logs must not show the value.
    scope : str
        ``cluster`` if all hosts must have the same value, ``host`` if each host has its own, ``pool`` if each pool of
        workers may also have its own.
    shown_default : str
        What documentation shows instead of an expression.
    summary : str
        Meaning in the README's table of the variables most often set; empty for a variable that is not in it.
    """

    name: str
    type: str
    default: Any
    meaning: str
    details: tuple[str, ...] = ()
    elements: str = ""
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    secret: bool = False
    scope: str = "host"
    shown_default: str = ""
    summary: str = ""


#: The variables by the heading that they have in the defaults.
SECTIONS: dict[str, tuple[Setting, ...]] = {
    "Directories and the user of the services": (
        Setting(
            "dask_home",
            "path",
            "/opt/dask",
            "Directory for environments and releases on every host. O(dask_user) must not be able to replace it.",
            summary="directory of environments and releases",
        ),
        Setting(
            "dask_user",
            "str",
            "dask",
            "User that the services run as. A missing user is created; an existing one is not changed.",
            summary="user that services run as",
        ),
        Setting(
            "dask_user_home",
            "path",
            "/var/lib/dask",
            "Home directory of O(dask_user) if the run creates that user. Services run in the home directory of "
            "their user.",
        ),
        Setting(
            "dask_user_groups",
            "list",
            [],
            "Groups that services have in addition to those of O(dask_user), by name or number, such as the group that "
            "owns a shared directory. They must exist on the host. The account itself is not changed.",
            details=(
                "Tasks of all users of the cluster have the rights of these groups. So the group of root is rejected; "
                "do not use others that lead to root's rights, such as C(docker) or C(disk).",
            ),
            elements="str",
            summary="more groups of the services",
        ),
        Setting(
            "dask_umask",
            "str",
            "0022",
            "File mode creation mask of services, as octal digits in quotes. With V(0002), the group of a file may "
            "write to what tasks create, for results that several people work on.",
            details=(
                "A mask with which every account of the host could write to these files is rejected. The directories "
                "that the collection makes for spilled data are closed to other accounts in any case.",
            ),
            summary="`0002` lets groups write to what tasks create",
        ),
        Setting(
            "dask_cache",
            "path",
            "",
            "Directory on the controller for fetched packages.",
            shown_default="~/.cache/daskops",
        ),
        Setting(
            "dask_free_disk",
            "str",
            "2GiB",
            "Free space that the file systems of O(dask_home) and O(dask_worker_scratch_directory) must have.",
        ),
    ),
    "The environment": (
        Setting(
            "dask_python",
            "str",
            "python3",
            "Interpreter that environments are built with, as a path or a name. All hosts need the same minor version.",
            details=(
                "O(dask_user) must be able to run the interpreter, and must not be able to replace it, because root "
                "runs it, too.",
            ),
            summary="interpreter on the hosts, a name or path",
        ),
        Setting(
            "dask_environment_lock",
            "path",
            "default",
            "Lock file on the controller, in requirements form with hashes, as C(uv pip compile --universal "
            "--generate-hashes) writes it. It must contain C(distributed). A relative path starts in the directory "
            "in which C(ansible-playbook) is called.",
            details=("V(default) is the lock file of the collection.",),
            scope="cluster",
            summary="lock file on the controller",
        ),
        Setting(
            "dask_environment_source",
            "str",
            "controller",
            "Source of the hosts' packages. With V(controller), the controller fetches and installs them once and "
            "copies the files over SSH, to hosts of x86_64 and aarch64. With V(index), every host fetches and "
            "installs them itself.",
            choices=("controller", "index"),
            scope="cluster",
            summary="who fetches: `controller`, or hosts (`index`)",
        ),
        Setting(
            "dask_environment_index_url",
            "str",
            "",
            "URL of the package index or mirror. If empty, pip's setting is used (on hosts, that of uv).",
            secret=True,
            summary="package index or mirror, if not that of pip",
        ),
    ),
    "The configuration": (
        Setting(
            "dask_config",
            "dict",
            {},
            "Dask configuration, merged over the collection's defaults. Lists replace lists.",
            details=(
                "Before anything is restarted, each host's own Dask checks the configuration, and rejects unknown "
                "keys and wrong values.",
                "Settings that follow from variables of the collection, such as encryption, preload modules and "
                "directories, are rejected with the name of the variable, unless they have Dask's own default.",
                "A change restarts every service that reads the configuration. For one kind of service, use "
                "O(dask_scheduler_config) or O(dask_worker_config).",
            ),
            summary="Dask configuration",
        ),
        Setting(
            "dask_config_extra_namespaces",
            "list",
            [],
            "Top-level keys of the configuration that belong to packages other than Dask and distributed, such as "
            "V(my-company). The settings below them are not checked. Keys of well-known packages, such as "
            "V(jobqueue) and V(rmm), are accepted without this.",
            elements="str",
            summary="keys in it of packages other than Dask",
        ),
        Setting(
            "dask_scheduler_config",
            "dict",
            {},
            "Dask configuration of the scheduler alone, merged over O(dask_config).",
        ),
        Setting(
            "dask_worker_config",
            "dict",
            {},
            "Dask configuration of the workers alone, merged over O(dask_config).",
            summary="of workers alone; also `dask_scheduler_config`",
        ),
        Setting(
            "dask_environment_variables",
            "dict",
            {},
            "Environment variables of the services. Variables that begin with C(DASK_) override the configuration "
            "and are written in Dask's own notation, such as C(DASK_DISTRIBUTED__WORKER__MEMORY__TARGET).",
            secret=True,
            summary="environment variables of the services",
        ),
        Setting(
            "dask_environment_setup",
            "list",
            [],
            "Lines of shell that run before the interpreter of every service, as O(dask_user), such as "
            "C(module load gdal/3.8) or C(source /opt/intel/setvars.sh). The service has the environment variables and "
            "limits that they set.",
            details=(
                "Bash runs the lines one after the other, after C(/etc/profile). Each line must end with status 0. "
                "E(DASKOPS_ENVIRONMENT) is the directory of the environment. E(PYTHONPATH) is added after the modules of "
                "the release.",
                "Before anything is restarted, every host runs the lines once, and rejects a line that fails. A change "
                "restarts the services of the host.",
                "All users of a host can read the lines. Put secrets into O(dask_environment_variables).",
            ),
            elements="str",
            summary="lines of shell before every service: `module load`",
        ),
        Setting(
            "dask_scheduler_preloads",
            "list",
            [],
            "Preload modules of the scheduler, which run after those of the collection. Each is a file on the "
            "controller (C(.py)) or an importable module. A relative path starts in the directory in which "
            "C(ansible-playbook) is called.",
            details=(
                "A module whose C(dask_setup) is a C(click) command gets its arguments from a dictionary with "
                "C(name) and C(arguments).",
            ),
            elements="raw",
        ),
        Setting(
            "dask_worker_preloads",
            "list",
            [],
            "Preload modules of the workers, in the form of O(dask_scheduler_preloads).",
            elements="raw",
            summary="preload modules; also `dask_scheduler_preloads`",
        ),
        Setting(
            "dask_nanny_preloads",
            "list",
            [],
            "Preload modules of the workers' nannies, in the form of O(dask_scheduler_preloads).",
            elements="raw",
        ),
        Setting(
            "dask_worker_import_paths",
            "list",
            [],
            "Directories on the hosts, such as those of a shared file system, from which workers import modules. They "
            "come after the environment and the collection's own modules, so they cannot replace a package.",
            details=(
                "Each run checks that they exist on every worker host, that O(dask_user) can read them, and that it "
                "cannot write to them or replace them: otherwise a task could leave code there that services import "
                "later. What is in them is not checked. Changed files are used after the next restart of a service.",
                "The scheduler reads the functions of tasks, too, so set O(dask_scheduler_import_paths) to the same "
                "directories.",
            ),
            elements="str",
            summary="where workers import shared code from",
        ),
        Setting(
            "dask_scheduler_import_paths",
            "list",
            [],
            "Directories on the scheduler's host from which the scheduler imports modules, checked like those of "
            "O(dask_worker_import_paths).",
            elements="str",
        ),
        Setting(
            "dask_scheduler_routes",
            "list",
            [],
            "Additional HTTP routes of the scheduler, which come before those of Dask. Each is a file on the "
            "controller or an importable module with a list C(routes), as in Dask.",
            details=("Everybody who can connect to the dashboard's port can use these routes.",),
            elements="str",
        ),
        Setting(
            "dask_worker_routes",
            "list",
            [],
            "Additional HTTP routes of the workers, in the form of O(dask_scheduler_routes).",
            elements="str",
        ),
    ),
    "Maintenance": (
        Setting(
            "dask_maintenance",
            "bool",
            False,
            "Whether a worker host is in maintenance. Its workers are drained and stopped, do not start at boot, and are "
            "not expected by the health check, until a run without this variable starts them again.",
            details=(
                "Set it for a host, or for a run with C(--limit) and C(-e). A host in maintenance may be unreachable. It "
                "keeps its release, and other changes reach it when the maintenance ends.",
            ),
            summary="stops the workers of a host until it is unset",
        ),
    ),
    "Where services listen": (
        Setting(
            "dask_interface",
            "str",
            "",
            "Network interface, such as V(eth1) or V(ib0), at whose address the services of a host listen. Set it for "
            "a host or a group.",
            details=(
                "By default, services listen only at the address from which the host connects to the scheduler.",
                "An IPv6 address is used only if there is no IPv4 address.",
            ),
        ),
        Setting(
            "dask_bind_address",
            "str",
            "",
            "Address at which the services of a host listen, instead of the address of O(dask_interface). V(0.0.0.0) "
            "means all IPv4 addresses, and V(::) all IPv6 addresses.",
        ),
    ),
    "The scheduler": (
        Setting(
            "dask_scheduler_host",
            "str",
            "",
            "Name or address under which workers and clients reach the scheduler.",
            scope="cluster",
            shown_default="the scheduler's address",
            summary="how workers and clients reach it",
        ),
        Setting(
            "dask_client_scheduler_host",
            "str",
            "",
            "Name or address under which clients and browsers reach the scheduler, if it differs from "
            "O(dask_scheduler_host) because they are on another network than the workers.",
            details=(
                "If it is another address of the scheduler's host, the scheduler must listen at all of its addresses, "
                "so set O(dask_bind_address) of that host to V(0.0.0.0), or to V(::) for IPv6.",
                "It is in the scheduler's certificate and in the files that C(client.yml) writes.",
            ),
            scope="cluster",
            summary="the same for clients on another network",
        ),
        Setting(
            "dask_scheduler_port",
            "int",
            8786,
            "Port of the scheduler.",
            minimum=1,
            maximum=65535,
            scope="cluster",
        ),
        Setting(
            "dask_scheduler_dashboard_port",
            "int",
            8787,
            "Port of the scheduler's dashboard and HTTP routes.",
            minimum=1,
            maximum=65535,
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_prefix",
            "str",
            "/",
            "Path below which the scheduler serves its dashboard and all HTTP routes, such as V(/dask), for a reverse "
            "proxy of your own that serves other sites, too. The proxy must forward the path unchanged.",
            details=("A change restarts the scheduler. The workers' own pages have no prefix.",),
            scope="cluster",
        ),
        Setting(
            "dask_scheduler_file",
            "str",
            "",
            "File on the scheduler's host to which the scheduler writes its address while it runs, for tools with "
            "an option C(--scheduler-file). Its directory must exist. It may be on a file system shared with hosts "
            "that join the cluster from outside, such as those of batch jobs. No file is written by default.",
            details=(
                "Such hosts need the cluster's packages and, with O(dask_tls), the worker certificate in "
                "C(/opt/dask/tls). A client certificate is not accepted.",
            ),
            summary="file with the scheduler's address",
        ),
        Setting(
            "dask_scheduler_memory",
            "str",
            "",
            "Memory at which systemd kills and restarts the scheduler (C(MemoryMax) of its unit), as a size like "
            "V(8GiB); empty for no limit. A restart loses all tasks.",
            details=("On a host that also has workers, they cannot get this memory.",),
            summary="limit of the scheduler",
        ),
        Setting(
            "dask_scheduler_arguments",
            "list",
            [],
            "More arguments of C(dask scheduler), such as C(--jupyter). Before anything is restarted, the host's own "
            "Dask checks that it knows them.",
            details=(
                "Arguments that follow from other variables, such as C(--host) or C(--preload), are rejected.",
                "With C(--jupyter), everybody who can connect to the dashboard can run code as O(dask_user) without a "
                "password, unless there is a proxy (O(dask_dashboard_proxy)). Every account of the scheduler's host "
                "can do so in any case, because Dask then also opens a port of the host without encryption. It needs "
                "jupyterlab in the lock file.",
            ),
            elements="str",
        ),
    ),
    "HTTP routes of the collection": (
        Setting(
            "dask_summary_route",
            "bool",
            True,
            "Whether the scheduler has the route C(daskops/summary.json), which M(daskops.cluster.cluster_health) "
            "reads. Without the route, the module uses Dask's own routes, which report neither packages nor "
            "releases of the scheduler.",
        ),
        Setting(
            "dask_worker_pages_route",
            "bool",
            True,
            "Whether the scheduler has the route C(proxy/PORT/HOST/PAGE), which shows the pages of its workers to "
            "everybody who can open the scheduler's. The links of the dashboard lead there. Pages of other hosts "
            "are not shown.",
        ),
        Setting(
            "dask_shutdown_token",
            "str",
            "",
            "Token for the route C(POST daskops/shutdown) of workers and the scheduler, with which other programs "
            "can stop a service. The request's C(Authorization) header is C(Bearer) and the token. The worker "
            "drains, or the scheduler closes, and the service stays stopped until it is started again, for example "
            "by C(start.yml) or C(site.yml).",
            details=(
                "The token must have at least 16 characters of printable ASCII without spaces. If it is empty, the "
                "route does not exist.",
            ),
            secret=True,
        ),
    ),
    "Clients": (
        Setting(
            "dask_client_directory",
            "str",
            "~/.config/dask",
            "Directory to which C(client.yml) writes the files that a user needs to connect. Dask reads the default "
            "directory by itself, and another one if the environment variable E(DASK_CONFIG) names it.",
        ),
        Setting(
            "dask_client_state",
            "str",
            "present",
            "Whether the files exist. With V(absent), C(client.yml) removes the files that it wrote for an account. "
            "Files for a cluster at another address are not removed.",
            details=(
                "All users share one client certificate, so an account can connect until its own copies of the key "
                "are gone, too.",
            ),
            choices=("present", "absent"),
        ),
    ),
    "Encryption": (
        Setting(
            "dask_tls",
            "bool",
            True,
            "Whether all connections are encrypted. Only programs with a certificate of the cluster's CA can connect.",
            scope="cluster",
        ),
        Setting(
            "dask_tls_certificates",
            "str",
            "made",
            "With V(made), the collection makes a CA and certificates on the controller, in O(dask_tls_directory).",
            details=(
                "With V(own), that directory already contains them in PEM form. C(ca.pem) is the CA. C(scheduler), "
                "C(worker) and C(client) each have a C(.pem), which may contain a chain, and a C(.key) without a "
                "passphrase. A worker host can have its own C(workers/HOST) instead.",
                "Each run tests the certificates before it changes anything.",
            ),
            choices=("made", "own"),
            scope="cluster",
        ),
        Setting(
            "dask_tls_directory",
            "path",
            "",
            "Directory on the controller for the CA and the certificates. By default, it is beside the inventory.",
            details=(
                "Anyone with its C(ca.key) can connect to the cluster. The key never leaves the controller, so keep "
                "a backup.",
            ),
            scope="cluster",
            shown_default="dask-tls",
        ),
        Setting(
            "dask_tls_days",
            "int",
            365,
            "Days that new certificates are valid, at most 3650, and more than O(dask_tls_warn_days). A CA is valid "
            "for 3650 days.",
            minimum=1,
            maximum=3650,
        ),
        Setting(
            "dask_tls_warn_days",
            "int",
            30,
            "Days before expiry, at most 900, from which C(site.yml) renews a certificate, or warns if it is your "
            "own. From then on, the report calls the cluster degraded.",
            minimum=0,
            maximum=900,
        ),
        Setting(
            "dask_tls_rotation",
            "str",
            "certificates",
            "What C(rotate_certificates.yml) renews. V(certificates) renews the certificates. V(authority) makes a "
            "new CA and certificates, and keeps trusting the previous CA, so that clients have time to get a new "
            "certificate. V(finish) ends the trust in the previous CA.",
            choices=("certificates", "authority", "finish"),
        ),
    ),
    "A proxy in front of the dashboard": (
        Setting(
            "dask_dashboard_proxy",
            "bool",
            False,
            "Whether nginx runs in front of the scheduler's dashboard and asks for a password. The dashboard itself "
            "then listens only on the scheduler's host.",
            details=(
                "nginx is installed from the host's distribution. If you set this to false again, nginx stays "
                "installed, without the collection's site.",
            ),
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_proxy_port",
            "int",
            8443,
            "Port of the proxy, which uses HTTPS. Ports below 1024 are possible, too.",
            minimum=1,
            maximum=65535,
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_proxy_prefix",
            "str",
            "/",
            "Path of the dashboard behind the proxy, such as V(/dask). With O(dask_dashboard_prefix), it is that path, "
            "and this variable must not be set.",
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_proxy_users",
            "dict",
            {},
            "Passwords of the dashboard's users, by user name. Keep them in a vault.",
            secret=True,
        ),
        Setting(
            "dask_dashboard_proxy_certificate",
            "path",
            "",
            "File on the scheduler's host with the proxy's certificate and its chain, for a CA that browsers trust. "
            "Reload nginx after you renew it.",
            details=("If empty, the proxy uses the scheduler's certificate.",),
        ),
        Setting(
            "dask_dashboard_proxy_key",
            "path",
            "",
            "File on the scheduler's host with the key of O(dask_dashboard_proxy_certificate).",
        ),
        Setting(
            "dask_dashboard_proxy_group",
            "str",
            "www-data",
            "Group of nginx's processes, which must be able to read the password file. It is C(nginx) on Red Hat's "
            "distributions.",
        ),
    ),
    "The firewall": (
        Setting(
            "dask_firewall",
            "str",
            "none",
            "Firewall for Dask's ports on a host. V(nftables) adds a separate table that does not affect other "
            "tables. V(firewalld) adds a separate policy, on a host where firewalld 0.9 or newer runs. V(ufw) adds "
            "rules to ufw, on a host where ufw is active and closes ports by default. V(none) leaves the host as it is.",
            details=(
                "Hosts of the cluster may connect to all of Dask's ports, and O(dask_firewall_clients) to some of "
                "them. New connections from other addresses are dropped. Other ports are not affected.",
                "With V(ufw), your own rules that open these ports stay in force.",
            ),
            choices=("none", "nftables", "firewalld", "ufw"),
            summary="or `nftables`, `firewalld`, `ufw`: see Security",
        ),
        Setting(
            "dask_firewall_clients",
            "list",
            [],
            "Addresses and networks, such as V(10.1.0.0/16), of users, browsers and monitoring. They may connect to "
            "the scheduler, the dashboards and the metrics. V(0.0.0.0/0) and V(::/0) mean everybody.",
            elements="str",
            scope="cluster",
            summary="networks of users, browsers and monitoring",
        ),
        Setting(
            "dask_firewall_peers",
            "list",
            [],
            "Addresses and networks that count as hosts of the cluster, in addition to those that a run detects. "
            "They are needed if connections between hosts come from other addresses (NAT, a second network), and "
            "for clients with C(direct_to_workers).",
            elements="str",
            scope="cluster",
        ),
    ),
    "A scheduler that another system runs": (
        Setting(
            "dask_scheduler_address",
            "str",
            "",
            "Address of a scheduler outside of this inventory, such as C(tcp://10.0.0.5:8786), which the workers join.",
            details=("The group C(dask_scheduler) must then be empty.",),
            scope="cluster",
            summary="a scheduler that another system runs",
        ),
        Setting(
            "dask_scheduler_dashboard_url",
            "str",
            "",
            "URL of the HTTP routes of the scheduler at O(dask_scheduler_address). If empty, port 8787 of its host "
            "is used.",
            scope="cluster",
        ),
        Setting(
            "dask_scheduler_platform",
            "str",
            "linux",
            "Operating system of the scheduler at O(dask_scheduler_address).",
            choices=("linux", "windows"),
            scope="cluster",
        ),
        Setting(
            "dask_windows_scheduler_max_workers",
            "int",
            100,
            "Largest number of worker processes that may be planned for a scheduler on Windows.",
            minimum=1,
        ),
    ),
    "The workers": (
        Setting(
            "dask_worker_pools",
            "dict",
            {},
            "Kinds of workers of a host, by name. A name has up to 20 small letters, digits and C(_). A pool "
            "accepts every setting from O(dask_worker_profile) to O(dask_worker_nanny_port), without the "
            "C(dask_worker_) prefix. Settings that it leaves out come from the variables of the host.",
            details=(
                "The workers of a pool are named C(HOST-POOL-N), and their units C(dask-worker@POOL-N.service). A "
                "host without pools has workers C(HOST-N) with units C(dask-worker@N.service).",
                "Pools share equally what is V(auto) in several of them, after the fixed numbers of other pools are "
                "subtracted. An automatic pool of profile V(io) beside other pools takes one CPU.",
            ),
            secret=True,
            summary="several kinds of workers on a host: see Workers",
        ),
        Setting(
            "dask_worker_pool_overrides",
            "dict",
            {},
            "Settings of single hosts that differ from the pools of their group. They are merged over "
            "O(dask_worker_pools), pool by pool.",
            secret=True,
        ),
        Setting(
            "dask_worker_contact_host",
            "str",
            "",
            "Name or address under which the scheduler, other workers and browsers reach the workers of this host, if "
            "a gateway translates addresses (NAT). The gateway must forward the ports of the workers unchanged.",
            details=(
                "Workers listen where they would without it. Hosts behind one address need different ports.",
                "It cannot be used with nannies, because Dask has no such address for these.",
            ),
        ),
        Setting(
            "dask_worker_cores_reserve",
            "int",
            0,
            "CPUs that are left to the system and to other programs on the host. Each hyperthread is a CPU.",
            minimum=0,
            summary="CPUs left to the system",
        ),
        Setting(
            "dask_worker_memory_reserve",
            "str",
            "auto",
            "Memory that is left to the system, as a size or V(auto), which is a tenth of the memory, between 256 "
            "MiB and 4 GiB.",
            summary="left to the system: a tenth, 256 MiB to 4 GiB",
        ),
        Setting(
            "dask_worker_scratch_any_filesystem",
            "bool",
            False,
            "Allow a scratch directory in memory, such as on tmpfs, or on a file system of the network, such as NFS.",
        ),
        Setting(
            "dask_worker_paths",
            "list",
            [],
            "More directories that tasks may write to, such as a shared file system. They must exist on the host.",
            details=(
                "Tasks may write to these, to the scratch directory, to the home of O(dask_user) and to a private "
                "C(/tmp). They may read what O(dask_user) may read, but below C(/home) only the directories listed "
                "here.",
            ),
            elements="str",
            summary="more directories that tasks may write to",
        ),
        Setting(
            "dask_worker_devices",
            "list",
            [],
            "Devices that tasks may use, such as C(/dev/fpga0). They must exist.",
            details=("Workers of profile V(gpu) may use NVIDIA's devices in any case.",),
            elements="str",
            summary="devices that tasks may use",
        ),
        Setting(
            "dask_release_resources",
            "bool",
            True,
            "Whether workers have their release as a resource, named C(release:) and the first characters of the "
            "release's name, one for each thread, and the same with O(dask_release_label).",
            details=("With this resource, a client can send tasks to workers of one release while a cluster changes.",),
        ),
        Setting(
            "dask_release_label",
            "str",
            "",
            "Name of the release for people, such as a git tag or a build number. Reports show it beside the release's "
            "own name, and workers have it as a resource, C(release:) and the label, one for each thread, if "
            "O(dask_release_resources) is true.",
            details=(
                "It has up to 63 letters, digits and the characters C(. _ + -), a letter or digit first. Quote it if "
                "YAML would read it as another value: V(1.10) without quotes is the number 1.1.",
                "A change of the label restarts the workers, in batches, because it changes their resources. It does "
                "not restart the scheduler.",
            ),
            scope="cluster",
            summary="a name like `v1.4` for reports and resources",
        ),
        Setting(
            "dask_error_monitor",
            "bool",
            True,
            "Whether each worker reports every failed task once, to the journal (C(journalctl "
            "DASK_EVENT=task-error)), as the metric C(dask_worker_task_errors_total) and, if "
            "O(dask_environment_variables) has C(SENTRY_DSN), to Sentry.",
            details=(
                "A report has the task's key, function, exception and traceback, and the types and sizes of its "
                "arguments.",
            ),
        ),
        Setting(
            "dask_error_monitor_values",
            "bool",
            False,
            "Whether a report also has the values of the arguments. Journals are often readable by many people.",
        ),
    ),
    "The workers of a host, and of its pools, which may each have their own": (
        Setting(
            "dask_worker_profile",
            "str",
            "numeric",
            "Kind of work, which decides into how many processes V(auto) divides a host's CPUs. Each hyperthread is a "
            "CPU.",
            details=(
                "V(numeric) is for NumPy, pandas and similar libraries, whose tasks release Python's global lock "
                "(GIL) - one process for each NUMA node, and a thread for each physical core. With "
                "O(dask_worker_hyperthreads), there is a thread for each CPU.",
                "V(python) is for pure Python - a process with one thread for each CPU, if each has 512 MiB of memory.",
                "V(mixed) has about as many processes as threads in each process, as C(LocalCluster) does, and a "
                "thread for each CPU.",
                "V(io) is for tasks that wait for networks and disks - four threads for each CPU, and at most 32 "
                "in a process.",
                "V(gpu) has one worker with one thread for each GPU.",
                "The CPUs are those that the system lets processes use, and no more than a quota of CPU time of the "
                "root control group allows, which a container may have.",
            ),
            choices=("numeric", "python", "mixed", "io", "gpu"),
            scope="pool",
            summary="or `python`, `mixed`, `io`, `gpu`: see Workers",
        ),
        Setting(
            "dask_worker_count",
            "str",
            "auto",
            "Number of worker processes, or V(auto) for the number of the profile.",
            scope="pool",
            summary="worker processes on a host, by the profile",
        ),
        Setting(
            "dask_worker_threads",
            "str",
            "auto",
            "Number of threads of a worker, or V(auto) to divide the CPUs among the workers.",
            scope="pool",
            summary="threads of each; `auto` shares out the CPUs",
        ),
        Setting(
            "dask_worker_hyperthreads",
            "bool",
            False,
            "Whether V(auto) counts each hyperthread in a pool of profile V(numeric), instead of each physical core. "
            "The other profiles always count each hyperthread.",
            scope="pool",
        ),
        Setting(
            "dask_worker_memory",
            "str",
            "auto",
            "Memory limit of a worker, as a size like V(4GiB), as a share like V(75%) or V(0.75), or V(auto) to divide "
            "the host's memory, less O(dask_worker_memory_reserve) and O(dask_scheduler_memory).",
            details=(
                "A share is that of the memory that V(auto) would divide on a host with this pool alone. So V(100%) is "
                "what a single automatic worker gets, and the shares of all workers of a host add up to at most 100%.",
                "The unit's C(MemoryMax) is a tenth above this limit.",
            ),
            scope="pool",
            summary="limit of each; `auto` shares out the memory",
        ),
        Setting(
            "dask_worker_resources",
            "dict",
            {},
            "Abstract resources of a worker, by name. A client can send tasks to workers that have a resource.",
            scope="pool",
            summary="abstract resources, like `{LICENSE: 1}`",
        ),
        Setting(
            "dask_worker_environment_variables",
            "dict",
            {},
            "Environment variables of workers alone, which override O(dask_environment_variables).",
            secret=True,
            scope="pool",
        ),
        Setting(
            "dask_worker_arguments",
            "list",
            [],
            "More arguments of C(dask worker), or of O(dask_worker_command). Before anything is restarted, the "
            "host's own Dask checks that it knows them.",
            details=(
                "Arguments that follow from other variables, such as C(--contact-address) or C(--nanny), are rejected.",
            ),
            elements="str",
            scope="pool",
        ),
        Setting(
            "dask_worker_nanny",
            "bool",
            False,
            "Whether a nanny process supervises each worker. Without a nanny, systemd restarts the worker, faster "
            "and with less memory, and the watchdog checks the worker itself. Plugins that need a nanny are then "
            "rejected.",
            scope="pool",
            summary="a nanny process beside each worker",
        ),
        Setting(
            "dask_worker_lifetime",
            "str",
            "",
            "Duration, such as V(12 hours), after which a worker is drained and restarted; empty for never. It "
            "helps against memory that libraries do not free.",
            details=(
                "Unlike with C(dask worker --lifetime), running tasks can finish within O(dask_worker_drain_timeout).",
            ),
            scope="pool",
        ),
        Setting(
            "dask_worker_lifetime_stagger",
            "str",
            "",
            "Duration by which lifetimes differ at random, so that workers do not all restart at once. It must be "
            "shorter than O(dask_worker_lifetime).",
            scope="pool",
        ),
        Setting(
            "dask_worker_cpus",
            "str",
            "",
            "CPUs that workers may use, such as V(0-3,8); empty for all.",
            scope="pool",
        ),
        Setting(
            "dask_worker_numa_node",
            "str",
            "",
            "NUMA node whose CPUs workers use, and whose memory they prefer. V(auto) spreads workers over all "
            "nodes; empty for no restriction.",
            scope="pool",
        ),
        Setting(
            "dask_worker_gpus",
            "raw",
            "auto",
            "GPUs of profile V(gpu) - V(auto) for those that the host has, their number, or a list of their names "
            "for C(CUDA_VISIBLE_DEVICES).",
            details=("On hosts with several NUMA nodes, a worker uses the CPUs beside its GPU.",),
            scope="pool",
        ),
        Setting(
            "dask_worker_command",
            "str",
            "dask worker",
            "Command that starts a worker. V(dask cuda worker) is for profile V(gpu), needs dask-cuda in the lock "
            "file, and always has a nanny.",
            choices=("dask worker", "dask cuda worker"),
            scope="pool",
        ),
        Setting(
            "dask_worker_interface",
            "raw",
            "",
            "Network interface at whose address workers listen. If empty, they listen where the other services "
            "of the host do. In a pool of profile V(gpu), it may be a list with one interface for each GPU.",
            scope="pool",
        ),
        Setting(
            "dask_worker_scratch_directory",
            "path",
            "/var/lib/dask/scratch",
            "Directory to which workers spill data.",
            scope="pool",
            summary="where workers spill to; made where it is missing",
        ),
        Setting(
            "dask_worker_port",
            "int",
            8800,
            "Port of the first worker. The next workers have the next ports, also those of other pools with the "
            "same first port.",
            minimum=1,
            maximum=65535,
            scope="pool",
        ),
        Setting(
            "dask_worker_dashboard_port",
            "int",
            8900,
            "Port of the first worker's dashboard and HTTP routes. The next workers have the next ports.",
            minimum=1,
            maximum=65535,
            scope="pool",
        ),
        Setting(
            "dask_worker_nanny_port",
            "int",
            9000,
            "Port of the first worker's nanny, if there is one. The next nannies have the next ports.",
            minimum=1,
            maximum=65535,
            scope="pool",
        ),
    ),
    "Changes of a running cluster": (
        Setting(
            "dask_worker_drain_timeout",
            "int",
            300,
            "Seconds that a stopping worker has to finish its tasks and to hand over its data. Then it stops "
            "anyway, and its journal lists what was lost.",
            minimum=0,
            summary="seconds that a stopping worker may take",
        ),
        Setting(
            "dask_serial",
            "raw",
            1,
            "Worker hosts that are restarted at the same time - a number, a percentage, or a list of them, as in "
            "C(serial) of a play.",
            details=("Set it for all hosts, or with C(-e).",),
            summary="worker hosts restarted at a time, like `20%`",
        ),
        Setting(
            "dask_trial",
            "bool",
            True,
            "Whether a trial precedes the change of a release. The scheduler of the new release, and one worker of "
            "each pool without GPUs, are started once on other ports, beside the running services. If one of them "
            "fails to start, the run fails and the running services are not changed.",
            details=(
                "They have C(DASKOPS_TRIAL=1) in their environment, so that a preload module can detect a trial.",
            ),
            summary="a changed release is started beside what runs first",
        ),
        Setting(
            "dask_rollback_on_failure",
            "bool",
            True,
            "Whether a failed scheduler, or a failed batch of worker hosts, is put back on its previous release.",
            summary="a failed change is put back",
        ),
        Setting(
            "dask_keep_releases",
            "int",
            3,
            "Number of releases that stay on a host, with their environments and including the current release. "
            "C(rollback.yml) can return to them. A release that a process uses always stays.",
            details=(
                "The same number of environments that were built ahead, with C(--tags environment), stay until a "
                "release uses them.",
            ),
            minimum=1,
            summary="releases that stay on a host, with environments",
        ),
        Setting(
            "dask_scheduler_restart",
            "str",
            "idle",
            "When to restart a scheduler whose release changed. With V(idle), the run waits up to "
            "O(dask_scheduler_idle_timeout) until the scheduler has no work, and otherwise leaves the restart to "
            "the next run. With V(now), it restarts the scheduler at once, which loses the work of clients.",
            choices=("idle", "now"),
            summary="or `now`, which loses what clients compute",
        ),
        Setting(
            "dask_scheduler_idle_timeout",
            "int",
            300,
            "Seconds to wait until the scheduler has no work.",
            minimum=0,
            summary="seconds to wait for a scheduler without work",
        ),
    ),
    "The services": (
        Setting(
            "dask_open_files",
            "int",
            65536,
            "Largest number of open files of a service.",
            minimum=256,
        ),
        Setting(
            "dask_process_limit",
            "int",
            4096,
            "Largest number of processes and threads of a service, including those of its tasks.",
            minimum=64,
        ),
        Setting(
            "dask_watchdog_timeout",
            "int",
            60,
            "Seconds after which systemd restarts a service that hangs.",
            details=(
                "A busy worker without a nanny may be silent for C(distributed.scheduler.worker-ttl) longer, "
                "because a task may hold Python's global lock (GIL). If the lock is free but the event loop does "
                "not run, the worker is restarted after this time alone.",
            ),
            minimum=1,
        ),
        Setting(
            "dask_start_timeout",
            "int",
            120,
            "Seconds that a host's services have to start.",
            minimum=1,
        ),
        Setting(
            "dask_health_timeout",
            "int",
            60,
            "Seconds that the cluster has to become healthy at the end of a run.",
            minimum=0,
        ),
    ),
    "Locks": (
        Setting(
            "dask_lock_timeout",
            "int",
            120,
            "Seconds to wait for another run that changes the same cluster, also from another controller. After "
            "this time, the run fails without changes, and names the user, controller, command and start of the "
            "other run.",
            details=("Runs that only look, such as C(status.yml) and C(--check), do not wait.",),
            minimum=0,
            summary="seconds to wait for another run on the same cluster",
        ),
    ),
}

#: The variables by name.
SETTINGS: dict[str, Setting] = {setting.name: setting for group in SECTIONS.values() for setting in group}

#: The variables that all hosts of a cluster must agree on, by name.
CLUSTER_SETTINGS: dict[str, Setting] = {name: one for name, one in SETTINGS.items() if one.scope == "cluster"}

#: The settings of a pool of workers, by their name in a pool.
POOL_SETTINGS: dict[str, Setting] = {
    name[len(POOL_PREFIX) :]: one for name, one in SETTINGS.items() if one.scope == "pool"
}
