# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all variables of the collection.

`tools/generate_settings` (``make generate``) writes the argument specification, the defaults and the README's table of
variables from this table.
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
            "User that the services run as; made where it does not exist, else left as it is.",
            summary="user that services run as",
        ),
        Setting(
            "dask_user_home",
            "path",
            "/var/lib/dask",
            "Home directory of O(dask_user) where that is made. Services run in their user's home directory.",
        ),
        Setting(
            "dask_cache",
            "path",
            "{{ lookup('ansible.builtin.env', 'XDG_CACHE_HOME') "
            "or (lookup('ansible.builtin.env', 'HOME') ~ '/.cache') }}/daskops",
            "Directory on the controller that keeps the packages it has fetched.",
            shown_default="~/.cache/daskops",
        ),
        Setting(
            "dask_free_disk",
            "str",
            "2GiB",
            "Free space wanted where O(dask_home) and O(dask_worker_scratch_directory) lie.",
        ),
    ),
    "The environment": (
        Setting(
            "dask_python",
            "str",
            "python3",
            "Interpreter that environments are built with, a path or a name; the same minor version on every host.",
            details=("O(dask_user) must be able to run it, and not to replace it, because root runs it, too.",),
            summary="interpreter on the hosts, a name or path",
        ),
        Setting(
            "dask_environment_lock",
            "path",
            "default",
            "Lock file on the controller, in requirements form with hashes, as C(uv pip compile --universal "
            "--generate-hashes) writes it. It must hold C(distributed). A relative path starts where "
            "C(ansible-playbook) is called.",
            details=("V(default) is the one that the collection ships.",),
            scope="cluster",
            summary="lock file on the controller",
        ),
        Setting(
            "dask_environment_source",
            "str",
            "controller",
            "Where hosts get packages from. With V(controller) it fetches and installs them once and ships the "
            "files over SSH, to hosts of x86_64 and aarch64; with V(index) every host fetches and installs for "
            "itself.",
            choices=("controller", "index"),
            scope="cluster",
            summary="who fetches: `controller`, or hosts (`index`)",
        ),
        Setting(
            "dask_environment_index_url",
            "str",
            "",
            "Package index or mirror to fetch from; empty for the one that pip (or, on hosts, uv) is set up with.",
            secret=True,
            summary="package index or mirror, if not that of pip",
        ),
    ),
    "The configuration": (
        Setting(
            "dask_config",
            "dict",
            {},
            "Dask configuration, merged over the collection's defaults; lists replace lists.",
            details=(
                "Like all settings of Dask, checked by the Dask that it is for, before anything is restarted. It "
                "has to know every key and be able to read every value.",
                "Settings that follow from variables of the collection, such as encryption, preload modules and "
                "directories, are rejected with the name of the variable, unless they have Dask's own default.",
                "Every service that reads it is restarted when it changes. What concerns one kind of them is "
                "better set in O(dask_scheduler_config) or O(dask_worker_config).",
            ),
            summary="Dask configuration",
        ),
        Setting(
            "dask_config_extra_namespaces",
            "list",
            [],
            "Keys of the configuration that other packages than Dask and distributed read, like V(my-company). "
            "What is below them is not checked. Those of well-known packages, like V(jobqueue) or V(rmm), need "
            "not be named.",
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
            "Environment variables of the services. Those that begin with C(DASK_) override the configuration, in "
            "Dask's own notation, like C(DASK_DISTRIBUTED__WORKER__MEMORY__TARGET).",
            secret=True,
            summary="environment variables of the services",
        ),
        Setting(
            "dask_scheduler_preloads",
            "list",
            [],
            "The user's preload modules of the scheduler, after those of the collection. Files on the controller "
            "(C(.py)), a relative path starting where C(ansible-playbook) is called, or importable modules.",
            details=(
                "One whose C(dask_setup) is a command of C(click) gets arguments as a dictionary of C(name) and "
                "C(arguments).",
            ),
            elements="raw",
        ),
        Setting(
            "dask_worker_preloads",
            "list",
            [],
            "The user's preload modules of the workers, given like O(dask_scheduler_preloads).",
            elements="raw",
            summary="preload modules; also `dask_scheduler_preloads`",
        ),
        Setting(
            "dask_nanny_preloads",
            "list",
            [],
            "The user's preload modules of the workers' nannies, given like O(dask_scheduler_preloads).",
            elements="raw",
        ),
        Setting(
            "dask_scheduler_routes",
            "list",
            [],
            "The user's own HTTP routes of the scheduler, before those of Dask. Files or importable modules, each "
            "with a list C(routes) as Dask has them.",
            details=("Whoever reaches the dashboard's port reaches them.",),
            elements="str",
        ),
        Setting(
            "dask_worker_routes",
            "list",
            [],
            "The user's own HTTP routes of the workers, given like O(dask_scheduler_routes).",
            elements="str",
        ),
    ),
    "Where services listen": (
        Setting(
            "dask_interface",
            "str",
            "",
            "Network interface, such as V(eth1) or V(ib0), at whose IPv4 address a host's services listen. By "
            "host or group.",
            details=(
                "By default they listen at the address from which the host reaches the scheduler, and at no other.",
            ),
        ),
        Setting(
            "dask_bind_address",
            "str",
            "",
            "IPv4 address at which a host's services listen, instead of O(dask_interface). V(0.0.0.0) is every one.",
        ),
    ),
    "The scheduler": (
        Setting(
            "dask_scheduler_host",
            "str",
            "{{ __dask_scheduler_name "
            "and (hostvars[__dask_scheduler_name].ansible_host | default(__dask_scheduler_name, true)) }}",
            "Name or address under which workers and clients reach the scheduler.",
            scope="cluster",
            shown_default="the scheduler's address",
            summary="how workers and clients reach it",
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
            "dask_scheduler_file",
            "str",
            "",
            "File in which the scheduler says where it is while it runs, for tools that take a "
            "C(--scheduler-file); none by default. Its directory has to be there, and may be shared with hosts "
            "that join the cluster by it, such as those of batch jobs.",
            details=(
                "They need the cluster's packages and, with O(dask_tls), the certificate of a worker, as "
                "C(/opt/dask/tls) has it. A client certificate is not accepted.",
            ),
            summary="file with the scheduler's address",
        ),
    ),
    "HTTP routes of the collection": (
        Setting(
            "dask_summary_route",
            "bool",
            True,
            "Whether the scheduler tells at C(daskops/summary.json) what M(daskops.cluster.cluster_health) wants "
            "to know. Without, that asks Dask's own routes, which tell neither packages nor releases of the "
            "scheduler.",
        ),
        Setting(
            "dask_worker_pages_route",
            "bool",
            True,
            "Whether whoever may open the scheduler's pages may open those of its workers through it, and no "
            "others, at C(proxy/PORT/HOST/PAGE), as the dashboard links to them.",
        ),
        Setting(
            "dask_shutdown_token",
            "str",
            "",
            "The token with which orchestrators may send C(POST daskops/shutdown), with C(Authorization) set to "
            "C(Bearer) and it, to a worker's or the scheduler's HTTP port. A worker drains, a scheduler closes, "
            "and either stays down until it is started again, as by C(start.yml) or C(site.yml).",
            details=("Empty for no such route. At least 16 characters, all of them printable ASCII without spaces.",),
            secret=True,
        ),
    ),
    "Clients": (
        Setting(
            "dask_client_directory",
            "str",
            "~/.config/dask",
            "Where C(client.yml) puts what a user needs to connect. Dask reads the default by itself, any other "
            "where the environment variable E(DASK_CONFIG) names it.",
        ),
        Setting(
            "dask_client_state",
            "str",
            "present",
            "With V(absent), C(client.yml) takes away what it has given to an account. Files for a cluster at "
            "another address stay.",
            details=(
                "The account can connect until its copies of the key are gone, too, as all users share one "
                "certificate.",
            ),
            choices=("present", "absent"),
        ),
    ),
    "Encryption": (
        Setting(
            "dask_tls",
            "bool",
            True,
            "Whether everything that goes over the network is encrypted, and only who has a certificate is "
            "listened to.",
            scope="cluster",
        ),
        Setting(
            "dask_tls_certificates",
            "str",
            "made",
            "With V(made) the collection makes a CA and certificates on the controller, in O(dask_tls_directory).",
            details=(
                "With V(own) they are there already, in PEM form. C(ca.pem) is the CA, and C(scheduler), "
                "C(worker) and C(client) each have a C(.pem), which may hold a chain, and a C(.key) without a "
                "passphrase. A worker host can have its own C(workers/HOST) instead.",
                "Each run tries them before anything is changed.",
            ),
            choices=("made", "own"),
            scope="cluster",
        ),
        Setting(
            "dask_tls_directory",
            "path",
            "{{ hostvars[__dask_asked_host].inventory_dir | default(playbook_dir, true) }}/dask-tls",
            "Directory on the controller for the CA and the certificates; beside the inventory unless set.",
            details=(
                "Whoever has its C(ca.key) can enter the cluster. It never leaves the controller, so keep a copy.",
            ),
            scope="cluster",
            shown_default="dask-tls",
        ),
        Setting(
            "dask_tls_days",
            "int",
            365,
            "Days that new certificates are valid, more than O(dask_tls_warn_days), at most 3650. A CA is valid "
            "for 3650 days.",
            minimum=1,
            maximum=3650,
        ),
        Setting(
            "dask_tls_warn_days",
            "int",
            30,
            "Days, at most 900, before a certificate expires from which on C(site.yml) renews it, or warns if it "
            "is your own, and the report calls the cluster degraded.",
            minimum=0,
            maximum=900,
        ),
        Setting(
            "dask_tls_rotation",
            "str",
            "certificates",
            "What C(rotate_certificates.yml) renews. V(certificates), or V(authority) for a new CA and "
            "certificates; then the previous CA stays trusted, so that clients have time to get a new "
            "certificate, until a run with V(finish).",
            choices=("certificates", "authority", "finish"),
        ),
    ),
    "A proxy in front of the dashboard": (
        Setting(
            "dask_dashboard_proxy",
            "bool",
            False,
            "Whether nginx stands in front of the scheduler's dashboard and asks people for a password. The "
            "dashboard itself can be reached from the scheduler's host alone then.",
            details=(
                "nginx comes from the host's distribution. Whoever turns this off again keeps it, without the "
                "collection's site.",
            ),
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_proxy_port",
            "int",
            8443,
            "Port of the proxy, which speaks HTTPS. nginx may use one below 1024, too.",
            minimum=1,
            maximum=65535,
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_proxy_prefix",
            "str",
            "/",
            "Path that the dashboard has behind the proxy, like V(/dask).",
            scope="cluster",
        ),
        Setting(
            "dask_dashboard_proxy_users",
            "dict",
            {},
            "Password of everybody who may see the dashboard, by user name. Keep it in a vault.",
            secret=True,
        ),
        Setting(
            "dask_dashboard_proxy_certificate",
            "path",
            "",
            "File on the scheduler's host with the proxy's certificate, and the chain up to its CA, that browsers "
            "trust. Reload nginx after you renew it.",
            details=("Empty for the scheduler's own certificate.",),
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
            "Group that nginx's processes run as, who read the password file; C(nginx) on Red Hat's distributions.",
        ),
    ),
    "The firewall": (
        Setting(
            "dask_firewall",
            "str",
            "none",
            "What keeps strangers from Dask's ports on a host. With V(nftables) a table of its own, which no "
            "other table notices; with V(firewalld) a policy of its own, on a host where firewalld 0.9 or newer "
            "runs. With V(none) the host is left as it is.",
            details=(
                "Hosts of the cluster may connect to all of Dask's ports, O(dask_firewall_clients) to some; new "
                "connections of anybody else are dropped. Other ports are none of its business.",
            ),
            choices=("none", "nftables", "firewalld"),
            summary="or `nftables`, `firewalld`: see Security",
        ),
        Setting(
            "dask_firewall_clients",
            "list",
            [],
            "Addresses and networks, like V(10.1.0.0/16), of users, browsers and monitoring. They may connect to "
            "the scheduler and to the dashboards and metrics; V(0.0.0.0/0) and V(::/0) are everybody.",
            elements="str",
            scope="cluster",
            summary="networks of users, browsers and monitoring",
        ),
        Setting(
            "dask_firewall_peers",
            "list",
            [],
            "Addresses and networks that count as hosts of the cluster, beside those that a run finds out. Needed "
            "where connections between hosts come from other addresses (NAT, a second network), and for clients "
            "with C(direct_to_workers).",
            elements="str",
            scope="cluster",
        ),
    ),
    "A scheduler that another system runs": (
        Setting(
            "dask_scheduler_address",
            "str",
            "",
            "Address of a scheduler that somebody else runs, like C(tcp://10.0.0.5:8786), to join the workers to.",
            details=("The group C(dask_scheduler) is empty then.",),
            scope="cluster",
            summary="a scheduler that somebody else runs",
        ),
        Setting(
            "dask_scheduler_dashboard_url",
            "str",
            "",
            "URL of the HTTP routes of the scheduler at O(dask_scheduler_address); empty for port 8787 of its host.",
            scope="cluster",
        ),
        Setting(
            "dask_scheduler_platform",
            "str",
            "linux",
            "What the scheduler at O(dask_scheduler_address) runs on.",
            choices=("linux", "windows"),
            scope="cluster",
        ),
        Setting(
            "dask_windows_scheduler_max_workers",
            "int",
            100,
            "The most worker processes that may be planned for a scheduler on Windows.",
            minimum=1,
        ),
    ),
    "The workers": (
        Setting(
            "dask_worker_pools",
            "dict",
            {},
            "Kinds of workers of a host, by a name of up to 20 small letters, digits and C(_). Each is a "
            "dictionary of the settings that it has for itself, called as the variables that begin with "
            "C(dask_worker_), without that - from O(dask_worker_profile) to O(dask_worker_nanny_port). What a "
            "pool does not say, these variables say for the host.",
            details=(
                "A pool's workers are called C(HOST-POOL-N), their units C(dask-worker@POOL-N.service). Without "
                "pools a host has one, whose workers are C(HOST-N) and C(dask-worker@N.service).",
                "What is C(auto) in several pools is shared out among them in equal parts, less what the others "
                "take; an automatic pool of profile C(io) takes one core beside others.",
            ),
            secret=True,
            summary="several kinds of workers on a host: see Workers",
        ),
        Setting(
            "dask_worker_pool_overrides",
            "dict",
            {},
            "What single hosts have differently from the pools of their group. Merged over O(dask_worker_pools), "
            "pool by pool.",
            secret=True,
        ),
        Setting(
            "dask_worker_cores_reserve",
            "int",
            0,
            "Cores left to the system, or to what else runs on the host.",
            minimum=0,
            summary="cores left to the system",
        ),
        Setting(
            "dask_worker_memory_reserve",
            "str",
            "auto",
            "Memory left to the system, a size or V(auto), a tenth of it between 256 MiB and 4 GiB.",
            summary="left to the system: a tenth, 256 MiB to 4 GiB",
        ),
        Setting(
            "dask_worker_scratch_any_filesystem",
            "bool",
            False,
            "Allow a scratch directory in memory (tmpfs) or on the network (NFS).",
        ),
        Setting(
            "dask_worker_paths",
            "list",
            [],
            "More directories that tasks may write to, such as a shared file system. They must exist on the host.",
            details=(
                "Tasks write to these, to the scratch directory, to the home of O(dask_user) and to a C(/tmp) of "
                "their worker's own. They read what that user may read, but see of C(/home) only what is named "
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
            details=("Workers of profile C(gpu) may use NVIDIA's without that.",),
            elements="str",
            summary="devices that tasks may use",
        ),
        Setting(
            "dask_release_resources",
            "bool",
            True,
            "Whether workers carry their release as a resource, C(release:) and the first part of its name, one "
            "for each thread.",
            details=("With it a client can send tasks to workers of one release while a cluster changes.",),
        ),
        Setting(
            "dask_error_monitor",
            "bool",
            True,
            "Whether every task that fails is reported, once, to the journal of its worker (C(journalctl "
            "DASK_EVENT=task-error)) and as the metric C(dask_worker_task_errors_total), and to Sentry, where "
            "O(dask_environment_variables) has C(SENTRY_DSN).",
            details=(
                "It tells the task's key, function, exception and traceback, and the types and sizes of its arguments.",
            ),
        ),
        Setting(
            "dask_error_monitor_values",
            "bool",
            False,
            "Whether the arguments themselves are told, too. Many people read journals.",
        ),
    ),
    "The workers of a host, and of its pools, which may each have their own": (
        Setting(
            "dask_worker_profile",
            "str",
            "numeric",
            "The work that workers are for, which says into how many processes V(auto) cuts a host's cores.",
            details=(
                "V(numeric) is for NumPy, pandas and the like, whose tasks release Python's lock - one process "
                "for each NUMA node, a thread for each core.",
                "V(python) is for pure Python - a process with one thread for each core, as far as memory has 512 "
                "MiB for each.",
                "V(mixed) has about as many processes as threads in each, as C(LocalCluster) does.",
                "V(io) is for tasks that wait for networks and disks - four threads for each core, 32 in a "
                "process at most.",
                "V(gpu) has one worker with one thread for each GPU.",
            ),
            choices=("numeric", "python", "mixed", "io", "gpu"),
            scope="pool",
            summary="or `python`, `mixed`, `io`, `gpu`: see Workers",
        ),
        Setting(
            "dask_worker_count",
            "str",
            "auto",
            "Worker processes, a number or V(auto), which follows from the profile.",
            scope="pool",
            summary="worker processes on a host, by the profile",
        ),
        Setting(
            "dask_worker_threads",
            "str",
            "auto",
            "Threads of a worker, a number or V(auto), which shares out the cores.",
            scope="pool",
            summary="threads of each; `auto` shares out the cores",
        ),
        Setting(
            "dask_worker_memory",
            "str",
            "auto",
            "Memory limit of a worker, a size like V(4GiB) or V(auto), which shares out the host's memory less "
            "the reserve.",
            details=("The unit's C(MemoryMax) is a tenth above it.",),
            scope="pool",
            summary="limit of each; `auto` shares out the memory",
        ),
        Setting(
            "dask_worker_resources",
            "dict",
            {},
            "Abstract resources of a worker, by name. With them a client can send tasks to workers that have them.",
            scope="pool",
            summary="abstract resources, like `{LICENSE: 1}`",
        ),
        Setting(
            "dask_worker_environment_variables",
            "dict",
            {},
            "Environment variables of workers alone, which win over O(dask_environment_variables).",
            secret=True,
            scope="pool",
        ),
        Setting(
            "dask_worker_arguments",
            "list",
            [],
            "More arguments of C(dask worker), or of O(dask_worker_command). The host's own Dask is asked whether "
            "it knows them before anything is restarted.",
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
            "Whether a nanny process watches over each worker. Without one systemd does it, faster and with less "
            "memory, and the watchdog looks at the worker itself. Plugins that need a nanny are rejected then.",
            scope="pool",
            summary="a nanny process beside each worker",
        ),
        Setting(
            "dask_worker_lifetime",
            "str",
            "",
            "A duration, such as V(12 hours), after which a worker is drained and started anew; empty for never. "
            "It helps against memory that libraries do not give back.",
            details=(
                "Unlike C(dask worker --lifetime) it lets running tasks finish, for O(dask_worker_drain_timeout) "
                "at most.",
            ),
            scope="pool",
        ),
        Setting(
            "dask_worker_lifetime_stagger",
            "str",
            "",
            "A duration by which lifetimes differ at random, so that workers do not all start anew at once. It "
            "must be shorter than O(dask_worker_lifetime).",
            scope="pool",
        ),
        Setting(
            "dask_worker_cpus",
            "str",
            "",
            "The CPUs that workers are kept to, such as V(0-3,8); empty for all.",
            scope="pool",
        ),
        Setting(
            "dask_worker_numa_node",
            "str",
            "",
            "The NUMA node to whose CPUs workers are kept, and whose memory they prefer, or V(auto), which "
            "spreads them over all nodes; empty for none.",
            scope="pool",
        ),
        Setting(
            "dask_worker_gpus",
            "raw",
            "auto",
            "The GPUs of profile C(gpu) - V(auto) for those that the host shows, their number, or a list of what "
            "C(CUDA_VISIBLE_DEVICES) calls them.",
            details=("On hosts with several NUMA nodes a worker is kept to the CPUs of its GPU's.",),
            scope="pool",
        ),
        Setting(
            "dask_worker_command",
            "str",
            "dask worker",
            "What a worker is started by. V(dask cuda worker) is for profile C(gpu) and wants dask-cuda in the "
            "lock; it always has a nanny.",
            choices=("dask worker", "dask cuda worker"),
            scope="pool",
        ),
        Setting(
            "dask_worker_interface",
            "raw",
            "",
            "Network interface at whose IPv4 address workers listen; empty for where all services of the host do. "
            "In a pool of profile C(gpu), it may be a list with one for each GPU.",
            scope="pool",
        ),
        Setting(
            "dask_worker_scratch_directory",
            "path",
            "/var/lib/dask/scratch",
            "Directory that workers spill to.",
            scope="pool",
            summary="where workers spill to; made where it is missing",
        ),
        Setting(
            "dask_worker_port",
            "int",
            8800,
            "Port of the first worker; the others follow, also those of other pools with the same first port.",
            minimum=1,
            maximum=65535,
            scope="pool",
        ),
        Setting(
            "dask_worker_dashboard_port",
            "int",
            8900,
            "Port of the first worker's dashboard and HTTP routes; the others follow.",
            minimum=1,
            maximum=65535,
            scope="pool",
        ),
        Setting(
            "dask_worker_nanny_port",
            "int",
            9000,
            "Port of the first worker's nanny, if there is one; the others follow.",
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
            "Seconds that a worker that is stopped, by whomever, may take to finish its tasks and to hand over "
            "its data. Then it stops anyway, and its journal says what it gave up.",
            minimum=0,
            summary="seconds that a stopping worker may take",
        ),
        Setting(
            "dask_serial",
            "raw",
            1,
            "Worker hosts that are restarted at a time - a number, a percentage, or a list of them, as C(serial) "
            "of a play takes.",
            details=("Set it for all hosts, or with C(-e).",),
            summary="worker hosts restarted at a time, like `20%`",
        ),
        Setting(
            "dask_trial",
            "bool",
            True,
            "Whether the scheduler of a changed release, and one worker of each pool without GPUs, are started "
            "once beside what runs, with other ports, before anything is stopped. If one does not come up, the "
            "run fails and what runs is left as it is.",
            details=("They have C(DASKOPS_TRIAL=1) in their environment, by which a preload module can tell.",),
            summary="a changed release is started beside what runs first",
        ),
        Setting(
            "dask_rollback_on_failure",
            "bool",
            True,
            "Whether a scheduler, or a batch of worker hosts, that fails is put back on the release that it ran "
            "before.",
            summary="a failed change is put back",
        ),
        Setting(
            "dask_keep_releases",
            "int",
            3,
            "Releases that stay on a host, the current one included, and their environments; C(rollback.yml) goes "
            "back through them. One that a process uses stays in any case.",
            details=(
                "So many environments that were built ahead, with C(--tags environment), stay as well until a "
                "release runs them.",
            ),
            minimum=1,
            summary="releases that stay on a host, with environments",
        ),
        Setting(
            "dask_scheduler_restart",
            "str",
            "idle",
            "When a scheduler that runs another release than it should is restarted. With V(idle) once it has no "
            "work; if it has some until O(dask_scheduler_idle_timeout) is over, it is left to the next run. With "
            "V(now) at once, which loses whatever clients compute.",
            choices=("idle", "now"),
            summary="or `now`, which loses what clients compute",
        ),
        Setting(
            "dask_scheduler_idle_timeout",
            "int",
            300,
            "Seconds to wait for a scheduler without work.",
            minimum=0,
            summary="seconds to wait for a scheduler without work",
        ),
    ),
    "The services": (
        Setting(
            "dask_open_files",
            "int",
            65536,
            "Open files that a service may have.",
            minimum=256,
        ),
        Setting(
            "dask_process_limit",
            "int",
            4096,
            "Processes and threads that a service may have, those of its tasks included.",
            minimum=64,
        ),
        Setting(
            "dask_watchdog_timeout",
            "int",
            60,
            "Seconds after which systemd restarts a service that hangs.",
            details=(
                "A worker without a nanny that is busy may be silent for C(distributed.scheduler.worker-ttl) "
                "longer, because a task may hold Python's global lock (GIL). It is restarted in time where its "
                "event loop does not run although the lock is free.",
            ),
            minimum=1,
        ),
        Setting(
            "dask_start_timeout",
            "int",
            120,
            "Seconds that a host's services may take until they serve.",
            minimum=1,
        ),
        Setting(
            "dask_health_timeout",
            "int",
            60,
            "Seconds that the cluster may take to become healthy at the end of a run.",
            minimum=0,
        ),
    ),
    "Locks": (
        Setting(
            "dask_lock_timeout",
            "int",
            120,
            "Seconds that a run waits for the end of another run that changes the same cluster, also from another "
            "controller. Then it fails, names the user, controller, command and start of the other run, and has "
            "changed nothing.",
            details=("Runs that only look, such as C(status.yml) and C(--check), wait for no other run.",),
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
