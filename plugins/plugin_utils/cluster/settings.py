# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all variables of the collection.

From this table, `tools/generate` (``make generate``) writes the argument specification, the defaults and the README of each
role, and the pages of the reference about variables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Prefix of variables that are also settings of a pool. The variable ``dask_worker_count`` is ``count`` in a pool.
POOL_PREFIX = "dask_worker_"


#: Largest number of seconds. systemd accepts about 500,000 years, but no such value is meant.
YEAR = 365 * 86400


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
        Default value. Ansible evaluates text with ``{{``.
    meaning : str
        First paragraph of the description, in the markup of Ansible's documentation.
    details : tuple of str
        More paragraphs.
    elements : str
        Type of a list's elements.
    choices : tuple of str
        Valid values. Empty for any.
    minimum, maximum : int, optional
        Bounds of a whole number.
    secret : bool
        Whether messages and logs must not show the value.
    scope : str
        ``cluster`` if all hosts must have the same value, ``host`` if each host can have its own value, ``pool`` if each
        pool of workers can also have its own value.
    shown_default : str
        Text in the documentation instead of an expression.
    summary : str
        Meaning in the reference's table of the variables most often set. Empty for a variable that is not in the table.
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


#: The variables by their heading in the defaults.
SECTIONS: dict[str, tuple[Setting, ...]] = {
    "Directories and the user of the services": (
        Setting(
            "dask_home",
            "path",
            "/opt/dask",
            "Directory on every host for environments and releases. O(dask_user) must not be able to replace it.",
            summary="directory of environments and releases",
        ),
        Setting(
            "dask_user",
            "str",
            "dask",
            "User that the services run as. A missing user is created. An existing user is not changed.",
            summary="user that services run as",
        ),
        Setting(
            "dask_user_home",
            "path",
            "/var/lib/dask",
            "Home directory of O(dask_user), if the run creates that user. Services run in the home directory of "
            "their user.",
        ),
        Setting(
            "dask_user_groups",
            "list",
            [],
            "Groups of the services in addition to those of O(dask_user), as names or ids, such as the group that owns a "
            "shared directory. They must exist on the host. The account itself is not changed.",
            details=(
                "Tasks of all users of the cluster have the permissions of these groups. The group of root is rejected. Do "
                "not use other groups with which one can become root, such as C(docker) or C(disk).",
            ),
            elements="str",
            summary="additional groups of the services",
        ),
        Setting(
            "dask_umask",
            "str",
            "0022",
            "File mode creation mask of services, as octal digits in quotes. With V(0002), the group of a file can write "
            "to files that tasks create, for example to results that several people change.",
            details=(
                "A mask with which every account of the host could write to these files is rejected. Other accounts can "
                "never open the directories that the collection creates for spilled data.",
            ),
            summary="`0002` lets groups write to files of tasks",
        ),
        Setting(
            "dask_cache",
            "path",
            "",
            "Directory on the controller for fetched packages.",
            shown_default="~/.cache/daskops",
            details=(
                "Hosts run programs of these packages as root. A directory that other accounts of the controller can change "
                "is rejected.",
            ),
        ),
        Setting(
            "dask_free_disk",
            "str",
            "2GiB",
            "Free space that the file systems of O(dask_home) and O(dask_worker_scratch_directory) must have. V(0) disables "
            "the check.",
        ),
    ),
    "The environment": (
        Setting(
            "dask_python",
            "str",
            "auto",
            "Python of the environments. All hosts need the same minor version.",
            details=(
                "A version in quotes, such as V('3.13'), V('3.13.5') or V('3.13.5+20261129'), selects a managed Python. The "
                "controller fetches this relocatable build of CPython (of the project python-build-standalone) with uv, "
                "checks its hash, and copies it to the hosts (x86_64 and aarch64, with glibc 2.17 or newer). Without a "
                "patch version, it is the newest build that the locked version of uv knows or that is in the directory "
                "O(dask_python_mirror).",
                "A path or a name selects an interpreter of the host. O(dask_user) must be able to run it, but not to "
                "replace it, because root also runs it.",
                "With V(auto), hosts use their own C(python3) if all of them have the same minor version, 3.10 or newer. "
                "Otherwise they use a managed Python with the minor version that the cluster already runs, or 3.13. With "
                "C(--limit), hosts use the same kind of Python as the scheduler's host.",
            ),
            summary="a version, an interpreter on the hosts, or `auto`",
        ),
        Setting(
            "dask_python_mirror",
            "str",
            "",
            "Source of managed Pythons. A URL like in uv's E(UV_PYTHON_INSTALL_MIRROR), or a directory on the controller "
            "with the archives. The directory can have a subdirectory for each date, like the URLs of the archives.",
            details=(
                "If empty, uv's own setting is used, which is the internet by default. A relative path starts in the "
                "working directory of C(ansible-playbook).",
            ),
            secret=True,
            scope="cluster",
            summary="mirror or directory of managed Pythons",
        ),
        Setting(
            "dask_python_sha256",
            "dict",
            {},
            "SHA-256 of the managed Python's archive, by architecture, such as C({x86_64: 2c26b46b...}). Required for a "
            "build that uv does not know. Other archives are rejected.",
            scope="cluster",
        ),
        Setting(
            "dask_environment_lock",
            "path",
            "default",
            "Lock file on the controller, in requirements format with hashes, such as the output of C(uv pip compile "
            "--universal --generate-hashes), or a C(pylock.toml). It must contain C(distributed). A relative path starts "
            "in the working directory of C(ansible-playbook).",
            details=("V(default) is the lock file of the collection.",),
            scope="cluster",
            summary="lock file on the controller",
        ),
        Setting(
            "dask_environment_build",
            "list",
            [],
            "Packages of O(dask_environment_lock) whose wheels the controller builds from source. Use it for packages "
            "without a wheel on an index, and for commits of a git repository.",
            details=(
                "A build runs code of the package, and of the packages that the build fetches from the index, as the "
                "account that runs Ansible. Each wheel is built once and kept in O(dask_cache).",
                "To build a package that is compiled, the controller needs the Python and the platform of the hosts.",
            ),
            elements="str",
            scope="cluster",
            summary="packages in it to build from source",
        ),
        Setting(
            "dask_environment_archive",
            "path",
            "",
            "Archive on the controller with a whole environment, instead of O(dask_environment_lock). A tar archive of "
            "C(conda-pack) or C(venv-pack), plain or compressed with gzip, Zstandard, bzip2 or xz. It must contain "
            "C(distributed). A relative path starts in the working directory of C(ansible-playbook).",
            details=(
                "An environment of conda contains its own Python, so O(dask_python) is not used. A virtual environment "
                "runs with O(dask_python), which must have the same minor version as the Python that created it.",
                "The controller unpacks the archive once. Files outside of the environment, links that lead out of it, "
                "devices, and files with the set-user-ID bit are rejected. The files are copied to the hosts over SSH. Root "
                "owns them. Their directory below O(dask_home) is named by its content and never changed.",
            ),
            scope="cluster",
            summary="packed environment, instead of a lock",
        ),
        Setting(
            "dask_environment_archive_sha256",
            "str",
            "",
            "SHA-256 of O(dask_environment_archive) in hexadecimal, which is required. Another archive is rejected.",
            scope="cluster",
            summary="SHA-256 of `dask_environment_archive`",
        ),
        Setting(
            "dask_environment_path",
            "path",
            "",
            "Directory with an environment that exists on every host, instead of O(dask_environment_lock) - such as one of "
            "conda on a network file system, or one that an environment module provides. It must contain C(distributed), "
            "and its interpreter is C(bin/python3) in it.",
            details=(
                "The environment is used as it is, and never changed or removed. All hosts must have the same Python and "
                "the same versions of all packages there. If they change, reports call the cluster degraded, and the next "
                "run restarts the services in batches.",
                "The services' user must be able to run it and must not be able to change it. Its programs never run as "
                "root; O(dask_python), which may be older than Dask needs, creates the scratch directories.",
            ),
            scope="cluster",
            summary="directory on every host, instead of a lock",
        ),
        Setting(
            "dask_environment_source",
            "str",
            "controller",
            "Source of the hosts' packages. With V(controller), the controller fetches and installs the packages once, "
            "and copies the files to the hosts over SSH (x86_64 and aarch64). With V(index), every host fetches and "
            "installs them itself.",
            choices=("controller", "index"),
            scope="cluster",
            summary="who fetches: `controller`, or hosts (`index`)",
        ),
        Setting(
            "dask_environment_index_url",
            "str",
            "",
            "URL of the package index or mirror. If empty, the index in pip's own configuration is used, or on hosts "
            "the index in uv's.",
            secret=True,
            summary="package index or mirror, if not that of pip",
        ),
    ),
    "Your application": (
        Setting(
            "dask_application",
            "list",
            [],
            "Projects and wheels on the controller with your own code. A project is a directory with a C(pyproject.toml), "
            "and is built once for each content of its files. All services import the modules of these wheels, beside "
            "the packages of the environment. A relative path starts in the directory in which C(ansible-playbook) is "
            "called.",
            details=(
                "Dependencies are not installed, but must be in the environment, in versions that the wheels accept. A "
                "module with the name of one of the environment is rejected.",
                "A change restarts the workers, in batches, and the scheduler, which reads the functions of tasks. Only "
                "the content of the wheels counts, not their names, versions or times.",
            ),
            elements="str",
            scope="cluster",
            summary="projects or wheels with your own code",
        ),
        Setting(
            "dask_application_build_lock",
            "path",
            "default",
            "Lock file on the controller, in the form of O(dask_environment_lock), with the packages that the builds of "
            "projects need. They are fetched from O(dask_environment_index_url), and the builds themselves use no "
            "network. V(default) is a lock of the collection with the build backends flit-core, hatchling, pdm-backend, "
            "poetry-core and setuptools, and common plugins of them.",
            scope="cluster",
        ),
    ),
    "The configuration": (
        Setting(
            "dask_config",
            "dict",
            {},
            "Dask configuration, merged over the collection's defaults. Lists replace lists.",
            details=(
                "Before anything is restarted, the Dask of each host validates the configuration, and rejects unknown "
                "keys and invalid values.",
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
            "V(my-company). The settings below them are not validated. Keys of well-known packages, such as "
            "V(jobqueue) and V(rmm), need not be listed.",
            elements="str",
            summary="keys in `dask_config` of other packages",
        ),
        Setting(
            "dask_scheduler_config",
            "dict",
            {},
            "Dask configuration only for the scheduler, merged over O(dask_config).",
        ),
        Setting(
            "dask_worker_config",
            "dict",
            {},
            "Dask configuration only for the workers, merged over O(dask_config).",
            summary="only for workers; also `dask_scheduler_config`",
        ),
        Setting(
            "dask_environment_variables",
            "dict",
            {},
            "Environment variables of the services. Variables that begin with C(DASK_) override the configuration. "
            "Their names have Dask's own notation, such as C(DASK_DISTRIBUTED__WORKER__MEMORY__TARGET).",
            secret=True,
            summary="environment variables of the services",
        ),
        Setting(
            "dask_environment_setup",
            "list",
            [],
            "Lines of shell that O(dask_user) runs before the interpreter of every service, such as "
            "C(module load gdal/3.8) or C(source /opt/intel/setvars.sh). The service has the environment variables and "
            "limits that they set.",
            details=(
                "Bash runs the lines one after the other, after C(/etc/profile). Each line must end with status 0. "
                "E(DASKOPS_ENVIRONMENT) is the directory of the environment. E(PYTHONPATH) is added after the modules of "
                "the release.",
                "Before anything is restarted, every host runs the lines once. The run fails if a line fails. A change "
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
            "controller (C(.py)) or an importable module. A relative path starts in the working directory of "
            "C(ansible-playbook).",
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
                "Each run checks that the directories exist on every worker host, and that O(dask_user) can read them but "
                "not change or replace them. Otherwise a task could write code there that services import later. The "
                "content of the directories is not checked. A service uses changed files after its next restart.",
                "The scheduler also reads the functions of tasks. Set O(dask_scheduler_import_paths) to the same "
                "directories.",
            ),
            elements="str",
            summary="directories with shared code for workers",
        ),
        Setting(
            "dask_scheduler_import_paths",
            "list",
            [],
            "Directories on the scheduler's host from which the scheduler imports modules. They are checked like "
            "O(dask_worker_import_paths).",
            elements="str",
        ),
        Setting(
            "dask_scheduler_routes",
            "list",
            [],
            "Additional HTTP routes of the scheduler, which come before those of Dask. Each is a file on the "
            "controller or an importable module with a list C(routes), as in Dask.",
            details=("Everyone who can connect to the dashboard's port can use these routes.",),
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
            "Whether a worker host is in maintenance. Its workers are drained and stopped, and do not start at boot. The "
            "health check does not expect them. A run without this variable starts them again.",
            details=(
                "Set it for a host, or for a run with C(--limit) and C(-e). A host in maintenance may be unreachable. It "
                "keeps its release, and gets other changes when the maintenance ends.",
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
            "Name or address under which workers and clients connect to the scheduler.",
            scope="cluster",
            shown_default="the scheduler's address",
            summary="how workers and clients connect to it",
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
            "an option C(--scheduler-file). Its directory must exist. It may be on a file system shared with other "
            "hosts that join the cluster, such as hosts of batch jobs. By default, no file is written.",
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
            "Memory limit of the scheduler, C(MemoryMax) of its unit, as a size like V(8GiB). Empty for no limit. systemd "
            "kills and restarts a scheduler above this limit, and all tasks are lost.",
            details=("On a host that also has workers, this memory is not available to the workers.",),
            summary="memory limit of the scheduler",
        ),
        Setting(
            "dask_scheduler_arguments",
            "list",
            [],
            "More arguments for C(dask scheduler), such as C(--jupyter). Before anything is restarted, the Dask of the "
            "host validates them.",
            details=(
                "Arguments that follow from other variables, such as C(--host) or C(--preload), are rejected.",
                "With C(--jupyter), the scheduler also serves Jupyter, whose users can run code as O(dask_user). It needs "
                "jupyterlab in the lock file, and E(JUPYTER_TOKEN) in O(dask_environment_variables), a token for which "
                "Jupyter asks.",
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
            "everyone who can open the scheduler's pages. The dashboard links to it. Pages of other hosts are not "
            "shown.",
        ),
        Setting(
            "dask_shutdown_token",
            "str",
            "",
            "Token for the route C(POST daskops/shutdown) of workers and the scheduler, with which other programs "
            "can stop a service. The request's C(Authorization) header is C(Bearer) and the token. A worker drains "
            "and a scheduler closes. The service stays stopped until it is started again, for example by "
            "C(start.yml) or C(site.yml).",
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
            "directory. To use another directory, set the environment variable E(DASK_CONFIG) to it.",
        ),
        Setting(
            "dask_client_state",
            "str",
            "present",
            "Whether the files exist. With V(absent), C(client.yml) removes the files that it wrote for an account. "
            "Files for a cluster at another address are not removed.",
            details=(
                "All users share one client certificate. An account can still connect with its own copies of the key.",
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
                "With V(own), that directory already contains them in PEM format. C(ca.pem) is the CA. C(scheduler), "
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
            "dask_tls_files",
            "dict",
            {},
            "Texts of certificates and keys by the names that their files have in O(dask_tls_directory), such as "
            "C(ca.pem), C(ca.key) and C(workers/HOST.pem), from a vault or a lookup. A text replaces the file of that name.",
            details=(
                "With C(ca.pem) and C(ca.key), any controller can run. Hosts keep their certificates until these expire "
                "soon. The collection then never replaces the CA.",
                "With O(dask_tls_certificates=own), all certificates can be here, and the directory need not exist.",
            ),
            secret=True,
            scope="cluster",
        ),
        Setting(
            "dask_tls_days",
            "int",
            365,
            "Number of days for which new certificates are valid, at most 3650, and more than O(dask_tls_warn_days). A "
            "CA is valid for 3650 days.",
            minimum=1,
            maximum=3650,
        ),
        Setting(
            "dask_tls_warn_days",
            "int",
            30,
            "Number of days before expiry, at most 900. A certificate that expires within this time is renewed by "
            "C(site.yml), or causes a warning if it is your own. The health report calls the cluster degraded.",
            minimum=0,
            maximum=900,
        ),
        Setting(
            "dask_tls_rotation",
            "str",
            "certificates",
            "Step of C(rotate_certificates.yml). V(certificates) renews the certificates. V(authority) makes a new CA "
            "and certificates, and keeps trusting the previous CA, so that clients have time to get a new "
            "certificate. V(finish) ends the trust in the previous CA.",
            details=(
                "V(reissue) does the same as V(authority) if the directory of the CA is lost. Clients cannot connect "
                "afterwards until C(client.yml) has run.",
            ),
            choices=("certificates", "authority", "finish", "reissue"),
        ),
    ),
    "A proxy in front of the dashboard": (
        Setting(
            "dask_dashboard_proxy",
            "bool",
            False,
            "Whether nginx runs in front of the scheduler's dashboard and requires a password. The dashboard itself "
            "then listens only on the scheduler's host.",
            details=(
                "nginx is installed from the host's distribution. If you set this variable to false again, nginx stays "
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
    "Monitoring": (
        Setting(
            "dask_monitoring",
            "str",
            "files",
            "What C(monitoring.yml) sets up on the hosts of the group C(dask_monitoring) or, while this group is empty, on "
            "the controller. With V(files), it writes targets, a scrape configuration, alert rules and dashboards for a "
            "Prometheus and a Grafana that exist.",
            details=(
                "With V(prometheus), it also installs Prometheus and the node exporter of the distribution (Debian, "
                "Ubuntu) on each host of the group, and configures them. A Prometheus that the collection did not set up "
                "is not changed.",
                "V(absent) removes the files and the configuration. Packages stay installed.",
            ),
            choices=("files", "prometheus", "absent"),
            summary="or `prometheus`, to install one",
        ),
        Setting(
            "dask_monitoring_directory",
            "path",
            "",
            "Directory for the files, which other accounts must not be able to change. Clusters can share a directory if "
            "they have different names (O(dask_monitoring_cluster)).",
            details=(
                "The default is C(/etc/prometheus/dask) on a host of the group C(dask_monitoring), and C(dask-monitoring) "
                "beside the inventory on the controller. There, a relative path starts in the working directory of "
                "C(ansible-playbook).",
            ),
            shown_default="/etc/prometheus/dask",
        ),
        Setting(
            "dask_monitoring_cluster",
            "str",
            "main",
            "Name of the cluster. It is the label C(cluster) of all metrics and alerts, and part of file names.",
        ),
        Setting(
            "dask_monitoring_delay",
            "int",
            300,
            "Seconds for which a condition must last before its alert fires.",
            minimum=0,
            maximum=YEAR,
        ),
        Setting(
            "dask_monitoring_interval",
            "int",
            15,
            "Seconds between two scrapes, and between two evaluations of the alert rules.",
            minimum=1,
            maximum=YEAR,
        ),
        Setting(
            "dask_monitoring_address",
            "str",
            "127.0.0.1",
            "Address at which an installed Prometheus listens. Its pages have no password, and show the names of tasks. By "
            "default, only accounts of its host can read them.",
        ),
        Setting(
            "dask_monitoring_port",
            "int",
            9090,
            "Port of an installed Prometheus.",
            minimum=1,
            maximum=65535,
        ),
        Setting(
            "dask_monitoring_node_exporter_port",
            "int",
            9100,
            "Port of an installed node exporter, which listens at C(127.0.0.1).",
            minimum=1,
            maximum=65535,
        ),
        Setting(
            "dask_monitoring_alertmanagers",
            "list",
            [],
            "Alertmanagers to which an installed Prometheus sends alerts, as C(HOST:PORT). Without one, alerts are only on "
            "its pages.",
            elements="str",
        ),
        Setting(
            "dask_monitoring_proxy_user",
            "str",
            "",
            "User of O(dask_dashboard_proxy_users) as which Prometheus reads the metrics of a scheduler behind "
            "O(dask_dashboard_proxy). Write the password into the file C(dask-CLUSTER-password) beside the scrape "
            "configuration.",
        ),
    ),
    "The firewall": (
        Setting(
            "dask_firewall",
            "str",
            "none",
            "Firewall for Dask's ports on a host. V(nftables) adds a separate table that does not affect other "
            "tables. V(firewalld) adds a separate policy, on a host where firewalld 0.9 or newer runs. V(ufw) adds "
            "rules to ufw, on a host where ufw is active and closes ports by default. V(none) does not change the host.",
            details=(
                "Hosts of the cluster may connect to all of Dask's ports, and O(dask_firewall_clients) to some of "
                "them. New connections from other addresses are dropped. Other ports are not affected.",
                "With V(ufw), your own rules that open these ports stay in force.",
            ),
            choices=("none", "nftables", "firewalld", "ufw"),
            summary="or `nftables`, `firewalld`, `ufw`",
        ),
        Setting(
            "dask_firewall_clients",
            "list",
            [],
            "Addresses and networks, such as V(10.1.0.0/16), of users, browsers and monitoring. They may connect to "
            "the scheduler, the dashboards and the metrics. V(0.0.0.0/0) and V(::/0) mean everyone.",
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
            "Address of a scheduler outside of this inventory to which the workers connect, such as "
            "C(tcp://10.0.0.5:8786).",
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
            maximum=10_000,
        ),
    ),
    "The workers": (
        Setting(
            "dask_worker_pools",
            "dict",
            {},
            "Pools of workers of a host, by name. A name has up to 20 lower-case letters, digits and C(_). A pool "
            "accepts every setting from O(dask_worker_profile) to O(dask_worker_nanny_port), without the "
            "C(dask_worker_) prefix. Settings that a pool does not have come from the variables of the host.",
            details=(
                "The workers of a pool are named C(HOST-POOL-N), and their units C(dask-worker@POOL-N.service). A "
                "host without pools has workers C(HOST-N) with units C(dask-worker@N.service).",
                "Fixed numbers are subtracted first. Pools with V(auto) then share the rest equally. Beside other pools, "
                "a pool of profile V(io) with V(auto) gets one CPU.",
            ),
            secret=True,
            summary="several kinds of workers on a host",
        ),
        Setting(
            "dask_worker_pool_overrides",
            "dict",
            {},
            "Settings of single hosts that differ from the pools of their group, by pool. They are merged over "
            "O(dask_worker_pools).",
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
            "Number of CPUs to leave to the system and to other programs on the host. Each hyperthread is a CPU.",
            minimum=0,
            maximum=8192,
            summary="CPUs left to the system",
        ),
        Setting(
            "dask_worker_memory_reserve",
            "str",
            "auto",
            "Memory to leave to the system, as a size, V(0) or V(auto). V(auto) is a tenth of the memory, between 256 MiB "
            "and 4 GiB.",
            summary="left to the system: a tenth, 256 MiB to 4 GiB",
        ),
        Setting(
            "dask_worker_scratch_any_filesystem",
            "bool",
            False,
            "Whether a scratch directory in memory, such as tmpfs, or on a network file system, such as NFS, is allowed.",
        ),
        Setting(
            "dask_worker_paths",
            "list",
            [],
            "More directories to which tasks may write, such as a shared file system. They must exist on the host.",
            details=(
                "Tasks may write to these directories, to the scratch directory, to the home of O(dask_user) and to a "
                "private C(/tmp). They may read everything that O(dask_user) may read, but below C(/home) only these "
                "directories.",
            ),
            elements="str",
            summary="more directories to which tasks may write",
        ),
        Setting(
            "dask_worker_devices",
            "list",
            [],
            "Devices that tasks may use, such as C(/dev/fpga0). They must exist.",
            details=("Workers of profile V(gpu) may always use NVIDIA's devices.",),
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
            "Label of the release, such as a git tag or a build number. Reports show it with the name of the release. If "
            "O(dask_release_resources) is true, workers have it as a resource, one for each thread. The resource is named "
            "C(release:) and the label.",
            details=(
                "It has up to 63 letters, digits and the characters C(. _ + -), starting with a letter or digit. Put it in "
                "quotes if YAML would read another value. Without quotes, V(1.10) is the number 1.1.",
                "A change of the label restarts the workers in batches, because it changes their resources. It does not "
                "restart the scheduler.",
            ),
            scope="cluster",
            summary="a name like `v1.4` for reports and resources",
        ),
        Setting(
            "dask_error_monitor",
            "bool",
            True,
            "Whether each worker reports every failed task once. The reports are in the journal (C(journalctl "
            "DASK_EVENT=task-error)) and in the metric C(dask_worker_task_errors_total). If "
            "O(dask_environment_variables) has C(SENTRY_DSN), they are also sent to Sentry.",
            details=(
                "A report has the task's key, function, exception and traceback, and the types and sizes of its "
                "arguments.",
            ),
        ),
        Setting(
            "dask_error_monitor_values",
            "bool",
            False,
            "Whether a report of a failed task also has the values of the arguments. Many people can often read "
            "journals.",
        ),
    ),
    "The workers of a host, and of its pools, which may each have their own": (
        Setting(
            "dask_worker_profile",
            "str",
            "numeric",
            "Kind of work. It determines the number of processes into which V(auto) divides a host's CPUs. Each "
            "hyperthread is a CPU.",
            details=(
                "V(numeric) is for NumPy, pandas and similar libraries, whose tasks release Python's global lock "
                "(GIL). It has one process for each NUMA node, and one thread for each physical core. With "
                "O(dask_worker_hyperthreads), it has one thread for each CPU.",
                "V(python) is for pure Python. It has one process with one thread for each CPU, if there are 512 MiB of "
                "memory for each.",
                "V(mixed) has about as many processes as threads in each process, like C(LocalCluster), and one thread "
                "for each CPU.",
                "V(io) is for tasks that wait for networks and disks. It has four threads for each CPU, and at most 32 "
                "threads in a process.",
                "V(gpu) has one worker with one thread for each GPU.",
                "The number of CPUs is limited to those that processes may use, and by a quota of CPU time of the root "
                "control group, which a container may have.",
            ),
            choices=("numeric", "python", "mixed", "io", "gpu"),
            scope="pool",
            summary="or `python`, `mixed`, `io`, `gpu`",
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
            summary="threads of each; `auto` divides the CPUs",
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
            "Memory limit of a worker, as a size like V(4GiB), a share like V(75%) or V(0.75), or V(auto) to divide the "
            "host's memory without O(dask_worker_memory_reserve) and O(dask_scheduler_memory).",
            details=(
                "A share is a part of the memory that V(auto) would divide on a host with only this pool. So V(100%) is "
                "the memory of a single worker with V(auto). The shares of all workers of a host add up to at most 100%.",
                "The unit's C(MemoryMax) is a tenth above this limit.",
            ),
            scope="pool",
            summary="limit of each; `auto` divides the memory",
        ),
        Setting(
            "dask_worker_resources",
            "dict",
            {},
            "Amounts of abstract resources of a worker, by name. A client can send tasks to workers with a resource.",
            scope="pool",
            summary="abstract resources, like `{LICENSE: 1}`",
        ),
        Setting(
            "dask_worker_environment_variables",
            "dict",
            {},
            "Environment variables only for workers, which override O(dask_environment_variables).",
            secret=True,
            scope="pool",
        ),
        Setting(
            "dask_worker_arguments",
            "list",
            [],
            "More arguments for O(dask_worker_command). Before anything is restarted, the Dask of the host validates "
            "them.",
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
            "Whether a nanny process supervises each worker. Without a nanny, systemd restarts the worker faster, the "
            "worker needs less memory, and the watchdog checks the worker itself. Plugins that need a nanny are then "
            "rejected.",
            scope="pool",
            summary="whether each worker has a nanny process",
        ),
        Setting(
            "dask_worker_lifetime",
            "str",
            "",
            "Duration, such as V(12 hours), after which a worker is drained and restarted, at least a minute. Empty for no "
            "limit. A limit helps if libraries do not free memory.",
            details=(
                "In contrast to C(dask worker --lifetime), running tasks can finish within "
                "O(dask_worker_drain_timeout).",
            ),
            scope="pool",
        ),
        Setting(
            "dask_worker_lifetime_stagger",
            "str",
            "",
            "Duration by which lifetimes differ at random, so that workers do not all restart at the same time. It must "
            "be shorter than O(dask_worker_lifetime).",
            scope="pool",
        ),
        Setting(
            "dask_worker_scaling",
            "str",
            "none",
            "Whether workers can be stopped and started without the rights of root. A stopped worker drains, and its unit "
            "then waits for the scheduler with a small process.",
            details=(
                "With V(none), all workers always run.",
                "With V(manual), all workers run until a user with the client certificate calls C(scale) or C(adapt) of "
                "C(daskops.Cluster).",
                "With V(adaptive), the scheduler also starts workers if there is work and stops idle ones by itself, "
                "until a user asks for something else.",
            ),
            choices=("none", "manual", "adaptive"),
            scope="pool",
            summary="or `manual`, `adaptive`: stop idle workers",
        ),
        Setting(
            "dask_worker_minimum",
            "int",
            0,
            "Number of workers of the pool, on all hosts together, that are not stopped for O(dask_worker_scaling). If "
            "hosts differ, the largest number counts.",
            minimum=0,
            maximum=10000,
            scope="pool",
        ),
        Setting(
            "dask_worker_maximum",
            "int",
            10000,
            "Largest number of workers of the pool, on all hosts together, that run at the same time with "
            "O(dask_worker_scaling). If hosts differ, the largest number counts.",
            minimum=1,
            maximum=10000,
            scope="pool",
        ),
        Setting(
            "dask_worker_hours",
            "raw",
            "",
            "Hours in which workers run, as one range or a list of ranges. Workers drain before the end of a range, and "
            "start at its begin. Empty for always.",
            details=(
                "A range has days, such as V(Sat,Sun), times, such as V(22:00-06:00), or both: V(Mon..Fri 19:00-07:00). A "
                "range over midnight belongs to the day on which it begins.",
                "A name of a time zone at the end, such as V(Mon..Fri 19:00-07:00 Europe/Berlin), replaces the time zone of "
                "the host.",
            ),
            scope="pool",
            summary="such as `Mon..Fri 19:00-07:00`: hours in which workers run",
        ),
        Setting(
            "dask_worker_cpus",
            "str",
            "",
            "CPUs that workers may use, such as V(0-3,8). Empty for all.",
            scope="pool",
        ),
        Setting(
            "dask_worker_numa_node",
            "str",
            "",
            "NUMA node whose CPUs workers use, and whose memory they prefer. V(auto) spreads workers over all "
            "nodes. Empty for no restriction.",
            scope="pool",
        ),
        Setting(
            "dask_worker_gpus",
            "raw",
            "auto",
            "GPUs of profile V(gpu). V(auto) uses all GPUs of the host. You can also give their number, or a list of "
            "their names in C(CUDA_VISIBLE_DEVICES).",
            details=("On hosts with several NUMA nodes, a worker uses the CPUs near its GPU.",),
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
            "Network interface at whose address workers listen. If empty, they listen at the address of the other services "
            "of the host. In a pool of profile V(gpu), it may be a list with one interface for each GPU.",
            scope="pool",
        ),
        Setting(
            "dask_worker_scratch_directory",
            "path",
            "/var/lib/dask/scratch",
            "Directory to which workers spill data.",
            scope="pool",
            summary="where workers spill to; created if it is missing",
        ),
        Setting(
            "dask_worker_port",
            "int",
            8800,
            "Port of the first worker. The next workers have the next ports. Pools with the same first port share a "
            "sequence.",
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
            "Seconds within which a stopping worker must finish its tasks and move its data to other workers. Then it "
            "stops anyway, and its journal lists the lost tasks and data.",
            minimum=0,
            maximum=YEAR,
            summary="seconds that a stopping worker may take",
        ),
        Setting(
            "dask_serial",
            "raw",
            1,
            "Number of worker hosts to restart at the same time. A number, a percentage, or a list of these, like "
            "C(serial) of a play.",
            details=("Set it for all hosts, or with C(-e).",),
            summary="worker hosts restarted at a time, like `20%`",
        ),
        Setting(
            "dask_trial",
            "bool",
            True,
            "Whether a new release is tried before the running services change. The trial starts the scheduler of the "
            "new release, and one worker of each pool without GPUs, on other ports beside the running services. If one "
            "of them fails to start, the run fails and does not change the running services.",
            details=(
                "In a trial, services have C(DASKOPS_TRIAL=1) in their environment, so that preload modules can detect "
                "it.",
            ),
            summary="whether a new release is tried first",
        ),
        Setting(
            "dask_rollback_on_failure",
            "bool",
            True,
            "Whether a failed scheduler, or a failed batch of worker hosts, is reverted to its previous release.",
            summary="whether a failed change is reverted",
        ),
        Setting(
            "dask_keep_releases",
            "int",
            3,
            "Number of releases to keep on a host with their environments, including the current release. "
            "C(rollback.yml) can return to them. A release that a process uses is always kept.",
            details=(
                "The same number of environments that were built in advance, with C(--tags environment), is kept until a "
                "release uses them.",
            ),
            minimum=1,
            maximum=1000,
            summary="releases to keep on a host, with environments",
        ),
        Setting(
            "dask_scheduler_restart",
            "str",
            "idle",
            "When to restart a scheduler whose release changed. With V(idle), the run waits until the scheduler has no "
            "work. After O(dask_scheduler_idle_timeout), it leaves the restart to the next run. With V(now), the run "
            "restarts the scheduler immediately, and the work of clients is lost.",
            choices=("idle", "now"),
            summary="or `now`, which loses the work of clients",
        ),
        Setting(
            "dask_scheduler_idle_timeout",
            "int",
            300,
            "Seconds to wait until the scheduler has no work.",
            minimum=0,
            maximum=YEAR,
            summary="seconds to wait until the scheduler is idle",
        ),
    ),
    "The services": (
        Setting(
            "dask_open_files",
            "int",
            65536,
            "Largest number of open files of a service.",
            minimum=256,
            maximum=2**30,
        ),
        Setting(
            "dask_process_limit",
            "int",
            4096,
            "Largest number of processes and threads of a service, including those of its tasks.",
            minimum=64,
            maximum=2**22,
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
            maximum=YEAR,
        ),
        Setting(
            "dask_start_timeout",
            "int",
            120,
            "Seconds within which a host's services must start.",
            minimum=1,
            maximum=YEAR,
        ),
        Setting(
            "dask_health_timeout",
            "int",
            60,
            "Seconds within which the cluster must become healthy at the end of a run.",
            minimum=0,
            maximum=YEAR,
        ),
    ),
    "The status page, and help": (
        Setting(
            "dask_status_page",
            "path",
            "",
            "File on the controller into which C(status.yml) writes the status of the cluster as an HTML page. The page "
            "needs no other file, no JavaScript and no network. If empty, no page is written.",
            details=(
                "The page is also written if the cluster is unhealthy or a host is unreachable. A new file has the mode "
                "0644, and an existing file keeps its mode. The directory must exist. A relative path starts in the working "
                "directory of C(ansible-playbook). What is not a regular file is not replaced. A link must belong to root "
                "or to the account that runs the playbook.",
                "To show what would change, C(status.yml) then plans like C(site.yml --check), which may fetch packages "
                "into O(dask_cache).",
            ),
            scope="cluster",
            summary="file on the controller for an HTML page of `status.yml`",
        ),
        Setting(
            "dask_status_json",
            "path",
            "",
            "File on the controller into which C(status.yml) writes the status of the cluster as JSON, like "
            "O(dask_status_page).",
            scope="cluster",
        ),
        Setting(
            "dask_support_bundle",
            "path",
            "",
            "File on the controller into which C(doctor.yml) writes an archive (C(.tar.gz)) for someone who helps, with the "
            "findings, the plan, the variables of the collection, and the reports and the journals of all hosts. If empty, "
            "no archive is written.",
            details=(
                "Secrets are masked: the values of secret variables and of environment variables wherever they appear, "
                "private keys, and what follows a word such as C(password) or C(token). Look into it before you send it, "
                "because journals can contain what tasks print. Only its owner can read it. Links, and "
                "what is not a regular file, are not replaced.",
            ),
            scope="cluster",
        ),
    ),
    "Locks": (
        Setting(
            "dask_lock_timeout",
            "int",
            120,
            "Seconds to wait for another run that changes the same cluster, also from another controller. After "
            "this time, the run fails without changes. The message names the user, controller, command and start time "
            "of the other run.",
            details=("Runs that change nothing, such as C(status.yml) and C(--check), do not wait.",),
            minimum=0,
            maximum=YEAR,
            summary="seconds to wait for another run on the same cluster",
        ),
    ),
}

#: All variables by name.
SETTINGS: dict[str, Setting] = {setting.name: setting for group in SECTIONS.values() for setting in group}

#: Variables that must have the same value on all hosts of a cluster, by name.
CLUSTER_SETTINGS: dict[str, Setting] = {name: one for name, one in SETTINGS.items() if one.scope == "cluster"}

#: Settings of a pool of workers, by their name in a pool.
POOL_SETTINGS: dict[str, Setting] = {
    name[len(POOL_PREFIX) :]: one for name, one in SETTINGS.items() if one.scope == "pool"
}
