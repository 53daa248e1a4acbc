# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of configurations with the installed Dask: wrong ones are rejected with the remedy, valid ones pass."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.modules.stage_release import without_secrets
from conftest import RUNTIME
from daskops_runtime import validate_config
from sentences import only

MEMORY = "distributed.worker.memory"
NO_DURATION = 'is not a duration. Write it like "30s", "5 minutes" or "500ms"'
NO_SIZE = 'is not a size. Write it like "64MiB" or "1 GB"'
FRACTION = "must be a number, more than 0 and at most 1, or false"

# Wrong settings, and parts of the message for each.
WRONG = [
    # Names
    (
        "distributed.worker.memory.targt: 0.5",
        f"{MEMORY}.targt is not a setting of Dask",
        f", but {MEMORY}.target is.",
    ),
    (
        "distributed.worker.memroy.target: 0.5",
        "distributed.worker.memroy is not a setting of Dask",
        ", but distributed.worker.memory is.",
    ),
    (
        "distributed.worker.target: 0.5",
        "distributed.worker.target is not a setting of Dask",
        f", but {MEMORY}.target is.",
    ),
    ("distribted.worker.memory.target: 0.5", "distribted is not a setting of Dask", ", but distributed is."),
    ("worker.memory.target: 0.5", "worker is not a setting of Dask", ", but distributed.worker is."),
    ("memory.spill: 0.5", "memory is not a setting of Dask", f", but {MEMORY} is."),
    ("timeouts.connect: 5s", "timeouts is not a setting of Dask", ", but distributed.comm.timeouts is."),
    (
        "distributed.comm.timeout.connect: 5s",
        "comm.timeout is not a setting of Dask",
        ", but distributed.comm.timeouts is.",
    ),
    (
        "distributed.scheduler.bandwith: 100",
        "bandwith is not a setting of Dask",
        ", but distributed.scheduler.bandwidth is.",
    ),
    (
        "distributed.scheduler.allowed_failures: 5",
        "must be written with hyphens: distributed.scheduler.allowed-failures.",
    ),
    (
        "distributed.comm.retry.counts: 5",
        "counts is not a setting of Dask",
        ", but distributed.comm.retry.count is.",
    ),
    (
        "distributed.client.hartbeat: 5s",
        "hartbeat is not a setting of Dask",
        ", but distributed.client.heartbeat is.",
    ),
    ("array.chunk_size: 1MiB", "must be written with hyphens: array.chunk-size."),
    ("my-company.cores: 1", "my-company is not a setting", "add my-company to dask_config_extra_namespaces."),
    ("distributed.mine.cores: 1", "distributed.mine is not a setting of Dask", ". Correct or remove it."),
    ("nonsense: {}", "nonsense is not a setting of Dask"),
    # Deprecated names
    ("worker-memory-target: 0.5", "worker-memory-target was renamed to distributed.worker.memory.target."),
    ("tick-time: 20ms", "tick-time was renamed to distributed.admin.tick.interval."),
    ("distributed.scheduler.transition-log-length: 9", "was renamed to distributed.admin.low-level-log-length."),
    ("shuffle: tasks", "shuffle was renamed to dataframe.shuffle.method."),  # renamed twice
    # Types
    (f"{MEMORY}.target: high", f"{MEMORY}.target {FRACTION}."),
    (f"{MEMORY}.spill: '0.7'", f"{MEMORY}.spill {FRACTION}."),
    ("distributed.scheduler.allowed-failures: many", "must be a whole number, at least 0."),
    ("distributed.scheduler.allowed-failures: 2.5", "must be a whole number, at least 0."),
    ("distributed.scheduler.work-stealing: sometimes", "must be true or false."),
    ("distributed.comm.timeouts.connect: true", 'must be a string, like "30s".'),
    ("distributed.comm.shard: [64]", 'like "64MiB".'),
    ("distributed.worker: 4", "distributed.worker must be a mapping."),
    ("distributed.scheduler.http.routes: my.routes", "must be a list."),
    ("distributed.comm.compression: zip", 'must be one of null, false, "auto", "zlib", "lz4", "snappy", "zstd".'),
    ("distributed.scheduler.active-memory-manager.start: 7", "must be true or false."),
    # Ranges
    (f"{MEMORY}.target: 1.5", f"{MEMORY}.target {FRACTION}."),
    (f"{MEMORY}.pause: 0", f"{MEMORY}.pause {FRACTION}."),
    (f"{MEMORY}.pause: 80", f"{MEMORY}.pause {FRACTION}."),
    ("distributed.comm.retry.count: -1", "must be a whole number, at least 0."),
    ("distributed.comm.timeouts.tcp: 5s", 'must be at least "11s"'),
    # Thresholds
    (f"{MEMORY}.target: 0.9", f"{MEMORY}.target is 0.9, more than spill (0.7)"),
    (f"{MEMORY}: {{target: 0.6, spill: 0.5}}", f"{MEMORY}.target is 0.6, more than spill (0.5)"),
    (f"{MEMORY}.spill: 0.85", f"{MEMORY}.spill is 0.85, more than pause (0.8)"),
    (f"{MEMORY}: {{target: 0.9, spill: false}}", f"{MEMORY}.target is 0.9, more than pause (0.8)"),
    # Durations and sizes
    ("distributed.comm.timeouts.connect: 5 parsecs", NO_DURATION),
    ("distributed.comm.timeouts.connect: soon", NO_DURATION),
    ("distributed.comm.timeouts.connect: -5s", NO_DURATION),
    ("distributed.comm.timeouts.connect: ''", NO_DURATION),
    ("distributed.comm.timeouts.connect: -5", NO_DURATION),
    ("distributed.scheduler.worker-ttl: five minutes", NO_DURATION),
    ("distributed.scheduler.idle-timeout: never", NO_DURATION),
    ("distributed.worker.memory.recent-to-old-time: a bit", NO_DURATION),
    ("distributed.scheduler.no-workers-timeout: 1 fortnight", NO_DURATION),
    ("distributed.comm.shard: 64 MiX", NO_SIZE),
    ("distributed.comm.offload: big", NO_SIZE),
    ("distributed.worker.memory.max-spill: a lot", NO_SIZE),
    ("distributed.worker.memory.max-spill: .inf", NO_SIZE),
    ("array.chunk-size: 1 elephant", NO_SIZE),
    # Settings that stop the cluster
    ("distributed.scheduler.dashboard.bokeh-application: {use_index: true}", "use_index: the scheduler does not start"),
    (
        "distributed.scheduler.dashboard.bokeh-application: {keep_alive_milliseconds: soon}",
        "the scheduler does not start",
    ),
    ("distributed.admin.event-loop: uvloop", "needs uvloop", "Add it to the lock in dask_environment_lock"),
    ("distributed.admin.event-loop: trio", "is trio, which is not an event loop of Dask. Use tornado"),
    (
        "distributed.comm.compression: snappy",
        "is snappy, but the environment has no python-snappy. Add it to the lock",
    ),
    ("distributed.comm.compression: zstd", "is zstd, but the environment has no zstandard. Add it to the lock"),
    (f"{MEMORY}.spill-compression: snappy", "is snappy, but the environment has no python-snappy"),
    (
        "distributed.comm.shard: 1 B",
        "distributed.comm.shard: messages do not reach other hosts with this value: ValueError",
    ),
    ("distributed.comm.tls.ciphers: ROT13", "distributed.comm.tls.ciphers: messages do not reach", "SSLError"),
    (
        "distributed.comm.tls: {min-version: 1.3, max-version: 1.2}",
        "distributed.comm.tls.min-version is 1.3, more than max-version (1.2)",
    ),
    ("distributed.comm.timeouts.connect: 0s", 'must be at least "1s"'),
    (
        "distributed.comm.retry.delay.min: 1 minute",
        "delay.min is 1 minute, more than",
        "(20s). Make it shorter",
    ),
    (
        "distributed.scheduler.locks.lease-timeout: 5s",
        "lease-validation-interval is 10s, more than distributed.scheduler.locks.lease-timeout (5s)",
    ),
    ("distributed.worker.connections.outgoing: 0", "must be at least 1."),
    ("distributed.worker.connections.incoming: 0", "must be at least 1."),
    ("distributed.p2p.comm.concurrency: 0", "must be at least 1."),
    ("distributed.scheduler.idle-timeout: 5s", 'must be at least "1 minute"'),
    ("distributed.admin.tick.interval: 1us", 'must be at least "1ms"'),
    ("distributed.worker.profile.cycle: 10us", 'must be at least "1ms"'),
    (
        "distributed.scheduler.default-task-durations: {inc: soon}",
        "default-task-durations.inc: the scheduler does not start with this value: KeyError",
    ),
    ("distributed.scheduler.allowed-imports: [numpy]", "replaces Dask's own list. Add dask and distributed"),
    ("distributed.scheduler.bandwidth: fast", NO_SIZE),
    (
        "distributed.scheduler.blocked-handlers: [run_function, register-worker, identity]",
        "blocks identity, register-worker, without which the cluster does not work. Remove it.",
    ),
    ("distributed.worker.blocked-handlers: [get_data]", "blocks get_data, without which the cluster does not work"),
    (
        "distributed.comm.socket-backlog: 99999999999",
        "socket-backlog: messages do not reach other hosts",
        "OverflowError",
    ),
    ("distributed.admin.tick.interval: 0s", "tick.interval: the scheduler does not start", "callback_time"),
    ("distributed.admin.system-monitor.interval: 0s", "system-monitor.interval: the scheduler does not start"),
    ("distributed.scheduler.work-stealing-interval: 0s", "work-stealing-interval: the scheduler does not start"),
    (
        "distributed.scheduler.active-memory-manager.policies: [{class: my.Policy}]",
        "policies: the scheduler does not start with this value: ModuleNotFoundError: No module named 'my'",
    ),
    (
        "distributed.scheduler.active-memory-manager.policies: [{klass: my.Policy}]",
        "active-memory-manager.policies must be a list of mappings, each with class.",
    ),
    (
        "distributed.dashboard.link: '{}:{port}/status'",
        "distributed.dashboard.link: the scheduler does not start with this value: IndexError",
    ),
    (
        "distributed.client.security-loader: my.security.load",
        "security-loader: the scheduler does not start with this value",
    ),
    ("distributed.dashboard.prometheus.namespace: my company", "must consist of letters, digits and _"),
    ("distributed.worker.resources: {GPU: two}", "must have a number for each resource."),
    # Logs
    ("distributed.logging: {distributed: verbose}", "has the level verbose for distributed. Use one of debug, info"),
    ("logging: {distributed: '10'}", "has the level 10 for distributed"),
    (
        "logging: {distributed: {worker: debug}}",
        "logging has settings below distributed, where a level belongs. In dask_config, write the logger's name as one key "
        "in quotes: 'distributed.worker'.",
    ),
    (
        "distributed.logging: {distributed: {shuffle: {core: info}}}",
        "as one key in quotes: 'distributed.shuffle.core'.",
    ),
    ("logging: {distributed: {}}", "has the level {} for distributed. Use one of debug"),
    ("logging: {distributed: [info]}", "has the level ['info'] for distributed"),
    (
        "distributed.admin.log-format: '%(asctime'",
        "log-format: the scheduler cannot set up its log with this value: ValueError",
    ),
    (
        "distributed.admin.log-format: '%(nope)s'",
        "log-format: the scheduler cannot set up its log with this value: ValueError: Formatting field not found in record: "
        "'nope'",
    ),
    (
        "logging: {version: 1, formatters: {own: {format: '{nope}', style: '{'}}, handlers: {console: {class: "
        "logging.StreamHandler, formatter: own}}, root: {handlers: [console]}}",
        "logging.formatters.own.format: the scheduler cannot set up its log with this value: ValueError: Formatting field "
        "not found in record: 'nope'",
    ),
    (
        "logging-file-config: /nowhere/logging.ini",
        "is /nowhere/logging.ini, which the services' account cannot read on this host",
    ),
    (
        "logging: {version: 1, handlers: {file: {class: logging.FileHandler, filename: /nowhere/dask.log}}}",
        "logging.handlers.file: the scheduler cannot set up its log with this value: [Errno 2] No such file",
        "'/nowhere/dask.log'. Correct or remove it.",
    ),
    (
        "distributed.logging: {version: 1, handlers: {json: {class: pythonjsonlogger.Handler}}, root: {handlers: [json]}}",
        "distributed.logging: the scheduler cannot set up its log with this value: ModuleNotFoundError",
    ),
    (
        "distributed.logging: {version: 1, root: {level: LOUD}}",
        "distributed.logging.root.level: the scheduler cannot",
        "'LOUD'",
    ),
    (
        "distributed.logging: info",
        "distributed.logging: the scheduler cannot set up its log with this value: ValueError",
    ),
    ("logging: null", "logging is empty. Remove it."),
    ("scheduler: thread", "scheduler is not a scheduler of Dask. Use one of distributed, multiprocessing, processes"),
    ("distributed.scheduler.http.routes: [7]", "must be a list of names of modules."),
    # Keys with which Dask cannot be imported
    ("logging: {1: info}", "logging.1: the key '1' is not a string. Put it in quotes."),
    ("distributed.scheduler.default-task-durations: {off: 1s}", "durations.False: the key 'False' is not a string"),
    # Empty sections
    ("distributed: null", "distributed is empty. Remove it."),
    ("distributed.comm.timeouts: null", "distributed.comm.timeouts is empty. Remove it."),
    # Modules
    ("distributed.worker.http.routes: [json]", "route module json has no list named routes"),
]


# Settings that the collection manages, and the variable that the message names.
OWNED = [
    ("distributed.comm.require-encryption: true", "dask_tls"),
    ("distributed.comm.require-encryption: false", "dask_tls"),  # Dask's default is null
    ("distributed.comm.require_encryption: true", "dask_tls"),
    ("distributed.comm.default-scheme: tls", "dask_tls"),
    ("distributed.comm.default-scheme: ucx", "dask_tls"),
    ("default-scheme: tls", "dask_tls"),  # an old name that Dask still reads
    ("distributed.comm.tls.ca-file: /etc/ssl/ca.pem", "dask_tls_certificates"),
    ("distributed.comm.tls.worker: {cert: /a.pem}", "dask_tls_certificates"),
    ("distributed.comm.tls.client.key: /a.key", "dask_tls_certificates"),
    ("distributed.comm.tls.scheduler: null", "dask_tls_certificates"),
    ("distributed.scheduler.dashboard.tls: {cert: /a.pem}", "dask_tls_certificates"),
    ("distributed.scheduler.dashboard.bokeh-application: {prefix: /dask}", "dask_dashboard_prefix"),
    ("distributed.scheduler.preload: [my.module]", "dask_scheduler_preloads"),
    ("distributed.scheduler.preload: my.module", "dask_scheduler_preloads"),
    ("distributed.scheduler.preload-argv: [--x]", "dask_scheduler_preloads"),
    ("distributed.worker.preload: ['https://example.org/preload.py']", "dask_worker_preloads"),
    ("distributed.worker.preload-argv: [--level]", "dask_worker_preloads"),
    ("distributed.nanny.preload: [json]", "dask_nanny_preloads"),
    ("distributed.worker.lifetime.duration: 1 hour", "dask_worker_lifetime"),
    ("distributed.worker.lifetime.stagger: a bit", "dask_worker_lifetime_stagger"),
    ("distributed.worker.lifetime.restart: true", "dask_worker_lifetime"),
    ("distributed.worker.local-directory: /data", "dask_worker_scratch_directory"),
    ("temporary-directory: /data", "dask_worker_scratch_directory"),
    ("temporary_directory: /data", "dask_worker_scratch_directory"),
    ("scheduler-address: tcp://10.0.0.1:8786", "dask_scheduler_host or dask_scheduler_address"),
    ("distributed.scheduler.contact-address: tcp://10.0.0.1:8786", "dask_scheduler_host"),
    ("distributed.scheduler.port: 8786", "dask_scheduler_port"),
    ("distributed.scheduler.dashboard-address: ':8787'", "dask_scheduler_dashboard_port"),
    ("distributed.worker.nthreads: 4", "dask_worker_threads"),
    ("distributed.nanny.port: 9000", "dask_worker_nanny_port"),
    ("distributed.worker.threads: 4", "dask_worker_threads"),
    ("distributed.worker.cores: 4", "dask_worker_threads"),
    ("distributed.worker.environ: {A: 1}", "dask_worker_environment_variables"),
    ("distributed.worker.env-vars: {A: 1}", "dask_worker_environment_variables"),
    ("distributed.scheduler.protocol: tls", "dask_tls"),
    ("distributed.comm.protocol: tls", "dask_tls"),
    ("distributed.comm.tls.enabled: true", "dask_tls"),
    ("distributed.comm.tls.cert: /a.pem", "dask_tls_certificates"),
    ("distributed.comm.tls.key: /a.key", "dask_tls_certificates"),
    ("distributed.dashboard.prefix: /dask", "dask_dashboard_prefix"),
    ("distributed.dashboard.port: 8787", "dask_scheduler_dashboard_port"),
    ("distributed.dashboard.address: ':8787'", "dask_scheduler_dashboard_port"),
    ("distributed.nanny.enabled: true", "dask_worker_nanny"),
]


def settings(text):
    """Return nested mappings from YAML with a dotted path as its key."""
    (path, value), *_ = yaml.safe_load(text).items()
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def find(
    config,
    variables=None,
    namespaces=(),
    nanny=False,
    kind="worker",
    error_monitor=True,
    of_pools=None,
    pools=None,
    writable=(),
    effective=None,
):
    """Return the problems of a configuration. ``effective`` is the rendered configuration, if it differs."""
    asked = {f"dask_{kind}_config": config}
    variables = {"dask_environment_variables": variables or {}, **(of_pools or {})}
    effective = config if effective is None else effective
    return validate_config.find_problems(
        kind, effective, asked, variables, list(namespaces), nanny, error_monitor, pools or {}, list(writable)
    )


def warn(config, variables=None, nanny=False, kind="worker"):
    variables = {"dask_environment_variables": variables or {}}
    return validate_config.find_warnings(kind, {"dask_config": config}, variables, nanny, pools={})


def test_number_of_wrong_settings():
    assert len(WRONG) >= 40


@pytest.mark.parametrize(("text", "said"), [(text, said) for text, *said in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_configuration_is_rejected_with_the_remedy(text, said):
    kind = "scheduler" if any("the scheduler" in words for words in said) else "worker"
    (problem,) = find(settings(text), kind=kind)
    assert all(words in problem for words in said), problem
    assert problem.startswith((f"dask_{kind}_config: ", "The worker's "))


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("distributed.worker.preloads", "distributed.worker.preload"),
        ("distributed.scheduler.stealing", "distributed.scheduler.work-stealing"),
        ("distributed.worker.spill", "distributed.worker.memory.spill"),
        ("distributed.scheduler.adaptive", "distributed.adaptive"),
        # Keys with the same beginning, or with a name that several sections have, are not similar.
        ("distributed.worker.death-timeout", None),
        ("distributed.worker.volume", None),
        ("distributed.scheduler.pickle", None),
        ("distributed.scheduler.log-level", None),
        ("distributed.comm.tls.active", None),
        ("distributed.comm.tcp-keepalive", None),
        ("log-level", None),
    ],
)
def test_similar_key_is_named_only_if_its_last_part_is_similar(path, nearest):
    assert validate_config.find_nearest(path) == nearest


@pytest.mark.parametrize(("text", "variable"), OWNED, ids=[text for text, _ in OWNED])
def test_managed_settings_are_rejected_with_the_variable_to_use(text, variable):
    (problem,) = find(settings(text))
    assert problem.startswith("dask_worker_config: ")
    assert f" is set by daskops.cluster itself. Remove it, and use {variable} instead." in problem
    (key,) = settings(text)
    assert find(settings(text), namespaces=[key]) == [
        problem
    ]  # a namespace of another package does not hide the problem


@pytest.mark.parametrize(
    ("name", "value", "variable"),
    [
        ("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "False", "dask_tls"),
        ("DASK_distributed__Comm__require_encryption", "true", "dask_tls"),
        ("DASK_DISTRIBUTED__COMM", "{'require-encryption': False}", "dask_tls"),
        ("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", "/ca.pem", "dask_tls_certificates"),
        ("DASK_DEFAULT_SCHEME", "tls", "dask_tls"),
        ("DASK_DISTRIBUTED__WORKER__PRELOAD", "['json']", "dask_worker_preloads"),
        ("DASK_DISTRIBUTED__WORKER__PRELOAD_ARGV", "['json']", "dask_worker_preloads"),
        ("DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION", "1h", "dask_worker_lifetime"),
        ("DASK_TEMPORARY_DIRECTORY", "/data", "dask_worker_scratch_directory"),
        ("DASK_SCHEDULER_ADDRESS", "tcp://10.0.0.1:8786", "dask_scheduler_host or dask_scheduler_address"),
        ("DASK_SCHEDULER_PORT", "8786", "dask_scheduler_port"),
        ("DASK_WORKER_MEMORY_LIMIT", "4GiB", "dask_worker_memory"),
    ],
)
def test_managed_settings_are_rejected_in_environment_variables(name, value, variable):
    (problem,) = find({}, {name: value})
    assert problem.startswith("dask_environment_variables: ") and f"Remove it, and use {variable} instead" in problem


def test_environment_variable_with_a_default_of_dask_is_rejected_if_it_has_an_effect():
    variables = {"DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tcp"}
    encrypted = {"distributed": {"comm": {"default-scheme": "tls", "require-encryption": True}}}
    assert find({}, variables) == []
    (problem,) = find({}, variables, effective=encrypted)
    assert problem.startswith(
        "dask_environment_variables: distributed.comm.default-scheme is set by daskops.cluster itself"
    )


def test_contradictory_environment_variables_are_rejected():
    (problem,) = find({}, {"DASK_ARRAY": "1", "DASK_ARRAY__CHUNK_SIZE": "1MiB"})
    assert problem.startswith(
        "dask_environment_variables: DASK_ARRAY is a value, but other variables set keys below it"
    )
    (problem,) = find({}, {"DASK_INTERNAL_INHERIT_CONFIG": "e30="})
    assert "DASK_INTERNAL_INHERIT_CONFIG replaces all settings. Remove it, and use dask_config" in problem


@pytest.mark.parametrize(
    "text",
    [
        "distributed.worker.memory: {target: false, spill: 0.8, pause: 0.8}",
        "distributed.worker.memory.max-spill: 10 GiB",
        "distributed.scheduler.worker-ttl: null",
        "distributed.scheduler.idle-timeout: 1 h",
        "distributed.scheduler.default-task-durations: {mine: 1h}",
        "distributed.logging: {distributed: debug, my.package: info}",
        "distributed.worker.resources: {GPU: 2, my-licence: 1}",
        "distributed.scheduler.dashboard.bokeh-application: {keep_alive_milliseconds: 1000}",
        "distributed.comm.compression: lz4",
        "distributed.scheduler.blocked-handlers: [run_function, feed]",
        "distributed.comm.compression: auto",
        "distributed.comm.tls.min-version: 1.3",
        "distributed.admin.event-loop: asyncio",
        "distributed.scheduler.bandwidth: 100MB",
        "distributed.dashboard.link: '{JUPYTERHUB_SERVICE_PREFIX}proxy/{port}/status'",
        "distributed.rmm.pool-size: 1GB",
        "rmm.pool-size: 1GB",
        "distributed.comm.ucx: {tcp: true, cuda_copy: true}",
        "ucx.nvlink: true",
        "explicit-comms: true",
        "distributed-ucxx.tcp: true",
        "logging: {version: 1, handlers: {console: {class: logging.StreamHandler}}, root: {handlers: [console]}}",
        "distributed.admin.log-format: '%(asctime)s %(levelname)-8s %(name)s:%(lineno)d %(process)d %(message)s'",
        # Records of other packages may have more fields.
        "logging: {version: 1, formatters: {own: {format: '%(user)s'}}, handlers: {console: {class: logging.StreamHandler, "
        "formatter: own}}, loggers: {my.package: {handlers: [console]}}}",
        "distributed.scheduler.idle-timeout: 3600",
        "distributed.comm.shard: 67108864",
        "distributed.scheduler.work-stealing: 0",
        "distributed.worker.memory: {target: false, spill: false, pause: false, terminate: false}",
        "distributed.dashboard.link: https://{host}:{port}/status",
        "logging.distributed: info",
        "distributed.logging: {distributed: warn, distributed.client: WARN, tornado: fatal, bokeh: notset}",
        "dataframe.shuffle.method: p2p",
        "multiprocessing.context: spawn",
        "distributed.comm.offload: false",
        "distributed.comm.timeouts.tcp: 11s",
        "array.chunk-size: 64 MiB",
    ],
)
def test_valid_configuration_is_accepted(text):
    assert find(settings(text)) == []


@pytest.mark.parametrize("kind", ["scheduler", "worker"])
def test_defaults_of_dask_are_accepted_with_a_warning(kind):
    assert find(validate_config.DEFAULTS, kind=kind) == []
    (warning,) = warn(validate_config.DEFAULTS)
    assert (
        warning.startswith("dask_config repeats Dask's defaults for ")
        and "Remove the settings that you do not want" in warning
    )


def test_settings_of_dask_cuda_are_accepted_in_environment_variables():
    variables = {
        "DASK_DISTRIBUTED__RMM__POOL_SIZE": "1GB",
        "DASK_RMM__POOL_SIZE": "0.8",
        "DASK_UCX__CUDA_COPY": "True",
        "DASK_DISTRIBUTED__COMM__UCX__NVLINK": "True",
        "DASK_EXPLICIT_COMMS": "True",
        "DASK_DISTRIBUTED_UCXX__TCP": "True",
        "DASK_ARRAY__CHUNK_SIZE": "1GB",
        "DASK_DISTRIBUTED__SCHEDULER__BANDWIDTH": "1GB",
    }
    assert find({}, variables) == warn({}, variables) == []


@pytest.mark.parametrize(
    "tree", [{"distributed.worker.memory.target": 0.9}, {"distributed": {"worker.memory.target": 0.9}}]
)
def test_dotted_keys_are_rejected(tree):
    (problem,) = find(tree)
    assert "target: Dask does not split" in problem and "Write it as nested mappings" in problem


def test_all_problems_are_reported_together():
    assert len(find({"distributed": {"comm": {"shard": "x", "offload": "x"}, "worker": {"x": 1}}})) == 3


def test_settings_for_nannies_are_accepted_with_a_nanny():
    assert find(settings(f"{MEMORY}.terminate: 0.95"), nanny=True) == []
    (problem,) = find(settings(f"{MEMORY}.terminate: 0.75"), nanny=True)
    assert "distributed.worker.memory.pause is 0.8, more than terminate (0.75)" in problem
    assert find(settings("distributed.nanny.environ: {MY_VARIABLE: 1}"), nanny=True) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{MEMORY}.terminate: 0.98", "has no effect, because there is no nanny"),
        (f"{MEMORY}.terminate: 0.98", "the unit's MemoryMax ends a worker that uses too much memory"),
        ("distributed.nanny.environ: {A: 1}", "environment variables belong in dask_environment_variables"),
        (
            "distributed.nanny.pre-spawn-environ: {OMP_NUM_THREADS: 4}",
            "distributed.nanny.pre-spawn-environ has no effect, because there is no nanny",
        ),
        (
            "distributed.worker.multiprocessing-method: fork",
            "distributed.worker.multiprocessing-method has no effect, because there is no nanny",
        ),
    ],
)
def test_settings_for_nannies_cause_a_warning_without_a_nanny(text, said):
    assert find(settings(text)) == []
    (warning,) = warn(settings(text))
    assert warning.startswith("dask_config: ") and said in warning
    assert warn(settings(text), nanny=True) == []


def test_defaults_of_dask_for_nannies_cause_no_warning():
    assert find(settings(f"{MEMORY}.terminate: 0.95")) == warn(settings(f"{MEMORY}.terminate: 0.95")) == []
    assert warn(settings(f"{MEMORY}.terminate: false")) == []
    variables = {"DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{'OMP_NUM_THREADS': 1}"}
    assert find({}, variables) == warn({}, variables) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "jobqueue.slurm.cores: 1",
            "jobqueue is for dask-jobqueue. No service of this cluster reads it.",
        ),
        ("gateway.address: https://gateway", "gateway is for dask-gateway"),
        (
            "distributed.scheduler.idle-timeout: 1 hour",
            "closes an idle scheduler. systemd then restarts it",
        ),
        (
            "distributed.worker.http.routes: [distributed.http.health]",
            "lacks distributed.http.worker.prometheus, which health checks and monitoring use. Add these modules, or",
        ),
        ("distributed.dashboard.prometheus.namespace: mine", "renames Dask's metrics. The health check"),
    ],
)
def test_settings_without_effect_cause_a_warning(text, said):
    assert find(settings(text)) == []
    (warning,) = warn(settings(text))
    assert warning.startswith("dask_config: ") and said in warning


@pytest.mark.parametrize("place", ["handlers", "loggers"])
def test_log_format_may_have_fields_that_a_filter_adds(tmp_path, monkeypatch, place):
    source = (
        "import logging\nclass AddUser(logging.Filter):\n    def filter(self, record):\n        record.user = 'ada'\n"
    )
    (tmp_path / "log_filter.py").write_text(f"{source}        return True\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {
        "version": 1,
        "filters": {"add": {"()": "log_filter.AddUser"}},
        "formatters": {"own": {"format": "%(user)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "own"}},
        "loggers": {"distributed": {"handlers": ["console"]}},
    }
    assert "Formatting field not found in record: 'user'" in only(find({"logging": config}))
    next(iter(config[place].values()))["filters"] = ["add"]
    assert find({"logging": config}) == []


@pytest.mark.parametrize("kind", ["scheduler", "worker"])
def test_preload_of_clients_in_tasks_is_imported(kind):
    said = only(find(settings("distributed.client.preload: [no_such_module]"), kind=kind))
    assert said == (
        "The client's preload module no_such_module cannot be imported: ModuleNotFoundError: No module named "
        "'no_such_module'. Correct or remove it."
    )
    assert find(settings("distributed.client: {preload: [click], preload-argv: []}"), kind=kind) == []


def test_log_file_outside_writable_paths_is_rejected(tmp_path):
    path = tmp_path / "dask.log"
    path.write_text("kept\n")
    handlers = {"file": {"class": "logging.FileHandler", "filename": str(path), "mode": "w", "delay": True}}
    config = {"logging": {"version": 1, "handlers": handlers, "root": {"handlers": ["file"]}}}
    assert find(config) == find(config, writable=[str(tmp_path)]) == []
    assert path.read_text() == "kept\n"
    (problem,) = find(config, writable=["/var/lib/dask"])
    assert f"services may write to /var/lib/dask and, on workers, to dask_worker_paths, but not to {path}" in problem
    path.unlink()
    assert find(config) == [] and not path.exists()  # the check must not create the file


def test_scheduler_settings_are_checked_on_the_schedulers_host_only():
    config = settings("distributed.scheduler.dashboard.bokeh-application: {use_index: true}")
    assert find(config, kind="worker") == [] != find(config, kind="scheduler")


def test_settings_that_fail_together_are_one_problem():
    both = {"use_index": True, "keep_alive_milliseconds": "soon"}
    (problem,) = find({"distributed": {"scheduler": {"dashboard": {"bokeh-application": both}}}}, kind="scheduler")
    assert problem.startswith(
        "dask_scheduler_config: distributed.scheduler.dashboard.bokeh-application: the scheduler does"
    )


@pytest.mark.parametrize("namespace", ["job-queue", "job_queue"])
def test_keys_of_other_packages_are_not_checked(namespace):
    assert find(settings("job-queue.slurm.cores: 1"), namespaces=[namespace]) == []
    assert find({}, {"DASK_JOB_QUEUE__CORES": "1"}, namespaces=[namespace]) == []


def test_memory_thresholds_are_checked_for_workers_only():
    assert find(settings(f"{MEMORY}.pause: 0.97")) == []  # the nanny's default for terminate (0.95) does not count
    assert find(settings(f"{MEMORY}.target: 0.9"), kind="scheduler") == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DASK_DISTRIBUTED__WORKER__MEMORY__TARGET", "2", f"{MEMORY}.target {FRACTION}."),
        ("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "lots", "allowed-failures must be a whole number"),
        ("DASK_DISTRIBUTED__SCHEDULER__WORKER_TLL", "5s", ", but distributed.scheduler.worker-ttl is."),
        (
            "DASK_LOGGING__DISTRIBUTED__WORKER",
            "debug",
            "logging has settings below distributed, where a level belongs. In dask_config, write the logger's name as one "
            "key in quotes: 'distributed.worker'.",
        ),
        ("DASK_WORKER_MEMORY_TARGET", "high", f"{MEMORY}.target {FRACTION}."),  # an old name that Dask still reads
        ("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE", "0.65", "spill is 0.7, more than pause (0.65)"),
    ],
)
def test_settings_in_environment_variables_are_checked(name, value, said):
    (problem,) = find({}, {name: value, "DASK_CONFIG": "/somewhere", "OMP_NUM_THREADS": 1})
    assert problem.startswith("dask_environment_variables: ") and said in problem


def test_environment_variables_do_not_replace_the_runtime():
    (problem,) = find({}, {"DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "['distributed.http.health']"})
    assert "distributed.worker.http.routes would replace the collection's own modules" in problem


def test_values_of_environment_variables_are_masked():
    variables = {"a": {"SHORT": 1, "TOKEN": "canary"}, "b": {"LONGER": "canary and more"}}
    assert without_secrets("int('canary and more') 1: canary", variables) == "int('********') 1: ********"
    assert (
        without_secrets("it needs uvloop", {"a": {"DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "uvloop"}})
        == "it needs uvloop"
    )
    assert without_secrets("it needs uvloop", {"a": {"PASSWORD": "uvloop"}}) == "it needs ********"


def test_sentry_needs_its_library(monkeypatch):
    variables = {"SENTRY_DSN": "https://key@sentry.example/1"}
    assert find({}, variables) == []
    monkeypatch.setattr(validate_config, "find_spec", lambda name: None)
    (problem,) = find({}, variables)
    assert "the environment has no sentry-sdk" in problem
    assert find({}, variables, error_monitor=False) == find({}, variables, kind="scheduler") == []
    assert find({}, {"SENTRY_DSN": ""}) == []


VARIABLES = "dask_worker_pools.big.environment_variables"


def test_variables_of_a_pool_are_checked_together_with_common_ones():
    spill = {"DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "0.75"}
    pause = {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.72"}
    assert find({}, spill, of_pools={VARIABLES: {}}) == find({}, of_pools={VARIABLES: pause}) == []
    (problem,) = find({}, spill, of_pools={VARIABLES: pause, "other": {}})
    assert problem.startswith(f"dask_environment_variables, {VARIABLES}: distributed.worker.memory.spill is 0.75, more")
    assert find({}, spill, of_pools={VARIABLES: pause}, kind="scheduler") == []
    (problem,) = find({}, of_pools={VARIABLES: {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUS": 1}})
    assert problem.startswith(f"{VARIABLES}: ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lifetime": "12 huors"}, "big.lifetime is '12 huors', which is not a duration. Write it like '12 hours'"),
        ({"lifetime_stagger": "-1 h"}, "big.lifetime_stagger is '-1 h', which is not a duration"),
        ({"arguments": ["--death-timeut", "3"]}, "big.arguments: No such option '--death-timeut'."),
        ({"arguments": ["surplus"]}, "big.arguments: Got unexpected extra argument: (surplus)"),
        ({"arguments": ["--worker-class"]}, "big.arguments: Option '--worker-class' requires an argument."),
        ({"arguments": ["--help"]}, "big.arguments: with these arguments, 'dask worker' only prints text"),
        ({"lifetime_stagger": "12 hours"}, "big.lifetime_stagger is '12 hours', which is not shorter than"),
        (
            {"arguments": ["--contact-address", "tls://10.0.0.1:1"]},
            "arguments: --contact-address is set by daskops.cluster",
        ),
        (
            {"arguments": ["--protocol", "ucx"]},
            "arguments: --protocol is ucx, but the scheduler's is tcp. Remove it",
        ),
        ({"arguments": ["--death-timeout", "soon"]}, "--death-timeout is soon, which is not a duration"),
        (
            {"arguments": ["--worker-class", "my.Worker"]},
            "--worker-class my.Worker cannot be imported: ModuleNotFoundError",
        ),
        (
            {"arguments": ["--worker-class", "collections.Counter"]},
            "--worker-class collections.Counter is not a subclass of distributed",
        ),
        ({"command": "dask cuda worker"}, "big.command is 'dask cuda worker', which cannot be imported"),
    ],
)
def test_pool_that_dask_cannot_start_is_rejected(changes, said):
    pool = {"arguments": [], "lifetime": "", "lifetime_stagger": "", "command": "dask worker"}
    good = {**pool, "arguments": ["--death-timeout", "30"], "lifetime": "12 hours"}
    assert find({}, pools={"dask_worker_pools.big.": good}) == []
    (problem,) = find({}, pools={"dask_worker_pools.big.": {**good, "arguments": [], **changes}})
    assert problem.startswith("dask_worker_pools.big.") and said in problem


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-jupyter"], ""),
        (["--jupiter"], "dask_scheduler_arguments: No such option '--jupiter'."),
        (["surplus"], "dask_scheduler_arguments: Got unexpected extra argument: (surplus)"),
        (["--help"], "dask_scheduler_arguments: with these arguments, 'dask scheduler' only prints text. Remove them."),
        (["--jupyter"], "dask_scheduler_arguments: --jupyter needs jupyterlab, which the environment does not have"),
    ],
)
def test_argument_that_the_scheduler_does_not_know_is_rejected(arguments, said, monkeypatch):
    monkeypatch.setattr(validate_config, "find_spec", lambda name: None)
    problems = validate_config.find_problems("scheduler", {}, {}, {}, [], False, False, {}, [], arguments)
    assert [problem[: len(said)] for problem in problems] == ([said] if said else [])


COMMAND = """
import click

@click.command()
@click.argument("worker", required=False)
@click.option("--level", type=int, default=1)
def dask_setup(worker, level):
    raise RuntimeError("the check must not call this")
"""


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (
            "import a_library_that_is_missing",
            [],
            "cannot be imported: ModuleNotFoundError: No module named 'a_library_that_is_missing'",
        ),
        ("def dask_setup(worker)\n", [], "cannot be imported: SyntaxError: expected ':'"),
        ("1 / 0", [], "cannot be imported: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('no GPU here')", [], "cannot be imported: SystemExit: no GPU here"),
        ("", ["--level", "2"], "takes no arguments, because its dask_setup is not a click command"),
        (
            COMMAND,
            ["--depth", "2"],
            "rejects its arguments: No such option '--depth'",
        ),
        (
            COMMAND,
            ["--level", "x"],
            "rejects its arguments: Invalid value for '--level': 'x' is not a valid integer",
        ),
        (COMMAND, ["--level", "2"], None),
        ("print('noise on standard output')", [], None),
        ("import dask; assert dask.config.get('distributed.comm.retry.count') == 7", [], None),
        ("import threading, time; threading.Thread(target=time.sleep, args=[600]).start()", [], None),
    ],
)
def test_preload_is_imported_and_its_arguments_are_parsed(text, arguments, said, tmp_path):
    """The check runs in a separate process, as on a host."""
    (tmp_path / "greeting.py").write_text(text)
    worker = {"preload": ["daskops_runtime.worker", "greeting"], "preload-argv": [[], arguments]}
    configuration = {"distributed": {"worker": worker, "comm": {"retry": {"count": 7}}}}
    (tmp_path / "dask.yaml").write_text(yaml.safe_dump(configuration))
    asked = {
        "kind": "worker", "configuration": str(tmp_path / "dask.yaml"), "asked": {}, "variables": {}, "namespaces": [],
        "nanny": False, "error_monitor": True, "pools": {},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "daskops_runtime.validate_config"],
        input=json.dumps(asked),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(RUNTIME), str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = [f"The worker's preload module greeting {said}"] if said else []
    answer = json.loads(done.stdout)
    assert [problem[: len(start)] for problem, start in zip(answer["problems"], expected, strict=True)] == expected
    assert answer["warnings"] == []
