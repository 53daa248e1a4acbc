"""Wrong configurations, each refused by the installed Dask with the words that help."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.modules.release import without_secrets
from conftest import RUNTIME
from daskops_runtime import check

MEMORY = "distributed.worker.memory"
NO_DURATION = 'is no duration: write it like "30s", "5 minutes" or "500ms"'
NO_SIZE = 'is no size: write it like "64MiB" or "1 GB"'
FRACTION = "must be a number, more than 0 and at most 1, or false"

# What is asked for, and what is said of it.
WRONG = [
    # Names
    (
        "distributed.worker.memory.targt: 0.5",
        f"{MEMORY}.targt is not known to Dask",
        f"; {MEMORY}.target is.",
    ),
    (
        "distributed.worker.memroy.target: 0.5",
        "distributed.worker.memroy is not known",
        "; distributed.worker.memory is.",
    ),
    (
        "distributed.worker.target: 0.5",
        "distributed.worker.target is not known",
        f"; {MEMORY}.target is.",
    ),
    ("distribted.worker.memory.target: 0.5", "distribted is not known", "; distributed is."),
    ("worker.memory.target: 0.5", "worker is not known", "; distributed.worker is."),
    ("memory.spill: 0.5", "memory is not known", f"; {MEMORY} is."),
    ("timeouts.connect: 5s", "timeouts is not known", "; distributed.comm.timeouts is."),
    (
        "distributed.comm.timeout.connect: 5s",
        "comm.timeout is not known",
        "; distributed.comm.timeouts is.",
    ),
    (
        "distributed.scheduler.bandwith: 100",
        "bandwith is not known",
        "; distributed.scheduler.bandwidth is.",
    ),
    (
        "distributed.scheduler.allowed_failures: 5",
        "is to be written with hyphens: distributed.scheduler.allowed-failures.",
    ),
    (
        "distributed.comm.retry.counts: 5",
        "counts is not known",
        "; distributed.comm.retry.count is.",
    ),
    (
        "distributed.client.hartbeat: 5s",
        "hartbeat is not known",
        "; distributed.client.heartbeat is.",
    ),
    ("temporary_directory: /data", "is to be written with hyphens: temporary-directory."),
    (
        "jobqueue.slurm.cores: 1",
        "jobqueue is not known",
        "name jobqueue in dask_config_extra_namespaces.",
    ),
    (
        "distributed.mine.cores: 1",
        "distributed.mine is not known",
        "name distributed.mine in dask_config_extra_namespaces.",
    ),
    ("nonsense: {}", "nonsense is not known to Dask"),
    # Names of the past
    ("worker-memory-target: 0.5", "worker-memory-target is called distributed.worker.memory.target now."),
    ("tick-time: 20ms", "tick-time is called distributed.admin.tick.interval now."),
    ("distributed.scheduler.transition-log-length: 9", "is called distributed.admin.low-level-log-length now."),
    ("shuffle: tasks", "shuffle is called dataframe.shuffle.method now."),  # renamed twice
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
    ("distributed.worker.lifetime.stagger: a bit", NO_DURATION),
    ("distributed.worker.lifetime.duration: 1 fortnight", NO_DURATION),
    ("distributed.comm.shard: 64 MiX", NO_SIZE),
    ("distributed.comm.offload: big", NO_SIZE),
    ("distributed.worker.memory.max-spill: a lot", NO_SIZE),
    ("distributed.worker.memory.max-spill: .inf", NO_SIZE),
    ("array.chunk-size: 1 elephant", NO_SIZE),
    # What is written elsewhere
    (
        "distributed.worker.preload-argv: [--level]",
        "is not read here: give a module's arguments in dask_worker_preloads.",
    ),
    # What needs a nanny
    (f"{MEMORY}.terminate: 0.95", "needs a nanny, and there is none: set dask_worker_nanny to true", "MemoryMax"),
    (
        "distributed.nanny.environ: {A: 1}",
        "needs a nanny",
        "environment variables belong in dask_environment_variables",
    ),
    # Modules
    (
        "distributed.worker.preload: [nobody.wrote_it]",
        "preload module nobody.wrote_it cannot be imported: ModuleNotFound",
    ),
    ("distributed.worker.http.routes: [json]", "route module json has no list called routes"),
]


def settings(text):
    """Nested mappings from YAML whose keys may be dotted paths."""
    (path, value), *_ = yaml.safe_load(text).items()
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def find(
    config, variables=None, namespaces=(), nanny=False, kind="worker", error_monitor=True, of_pools=None, pools=None
):
    asked = {"dask_worker_config": config}
    variables = {"dask_environment_variables": variables or {}, **(of_pools or {})}
    return check.find_problems(kind, config, asked, variables, list(namespaces), nanny, error_monitor, pools or {})


def test_there_are_enough_of_them():
    assert len(WRONG) >= 40


@pytest.mark.parametrize(("text", "said"), [(text, said) for text, *said in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_configuration_is_refused_with_words_that_help(text, said):
    (problem,) = find(settings(text))
    assert all(words in problem for words in said), problem
    assert problem.startswith(("dask_worker_config: ", "The worker's "))


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
        "distributed.scheduler.dashboard.bokeh-application: {prefix: /dask}",
        "distributed.scheduler.idle-timeout: 3600",
        "distributed.comm.shard: 67108864",
        "distributed.scheduler.work-stealing: 0",
        "distributed.worker.memory: {target: false, spill: false, pause: false, terminate: false}",
        "distributed.worker.preload: [a/preload.py]",
        "distributed.dashboard.link: https://{host}:{port}/status",
        "logging.distributed: info",
        "dataframe.shuffle.method: p2p",
        "multiprocessing.context: spawn",
        "distributed.comm.offload: false",
        "distributed.comm.timeouts.tcp: 11s",
        "distributed.worker.preload: ['https://example.org/preload.py', 'import this', json]",
        "array.chunk-size: 64 MiB",
        "temporary-directory: /data",
    ],
)
def test_right_configuration_is_not_refused(text):
    assert find(settings(text)) == []


def test_defaults_of_dask_are_not_refused():
    assert find(check.DEFAULTS, nanny=True) == []


@pytest.mark.parametrize(
    "tree", [{"distributed.worker.memory.target": 0.9}, {"distributed": {"worker.memory.target": 0.9}}]
)
def test_keys_in_one_are_refused_as_dask_would_not_find_them(tree):
    (problem,) = find(tree)
    assert "target: Dask does not take" in problem and "each part below the one before it" in problem


def test_every_problem_is_told_at_once():
    assert len(find({"distributed": {"comm": {"shard": "x", "offload": "x"}, "worker": {"x": 1}}})) == 3


def test_a_nanny_allows_what_needs_one():
    assert find(settings(f"{MEMORY}.terminate: 0.95"), nanny=True) == []
    (problem,) = find(settings(f"{MEMORY}.terminate: 0.75"), nanny=True)
    assert "distributed.worker.memory.pause is 0.8, more than terminate (0.75)" in problem
    assert find(settings("distributed.nanny.environ: {MY_VARIABLE: 1}"), nanny=True) == []
    (problem,) = find(settings("distributed.nanny.preload: [json]"), nanny=True)
    assert problem.endswith("name the modules in dask_nanny_preloads.")


@pytest.mark.parametrize("namespace", ["job-queue", "job_queue"])
def test_keys_of_other_packages_are_not_looked_at(namespace):
    assert find(settings("job-queue.slurm.cores: 1"), namespaces=[namespace]) == []
    assert find({}, {"DASK_JOB_QUEUE__CORES": "1"}, namespaces=[namespace]) == []


def test_thresholds_are_the_workers():
    assert find(settings(f"{MEMORY}.pause: 0.97")) == []  # what Dask has for a nanny does not count
    assert find(settings(f"{MEMORY}.target: 0.9"), kind="scheduler") == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DASK_DISTRIBUTED__WORKER__MEMORY__TARGET", "2", f"{MEMORY}.target {FRACTION}."),
        ("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "lots", "allowed-failures must be a whole number"),
        ("DASK_DISTRIBUTED__SCHEDULER__WORKER_TLL", "5s", "; distributed.scheduler.worker-ttl is."),
        ("DASK_WORKER_MEMORY_TARGET", "high", f"{MEMORY}.target {FRACTION}."),  # Dask takes it for today's name
        ("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE", "0.65", "spill is 0.7, more than pause (0.65)"),
    ],
)
def test_settings_in_environment_variables_are_checked_too(name, value, said):
    (problem,) = find({}, {name: value, "DASK_CONFIG": "/somewhere", "OMP_NUM_THREADS": 1})
    assert problem.startswith("dask_environment_variables: ") and said in problem


def test_environment_variables_do_not_replace_the_runtime():
    (problem,) = find({}, {"DASK_DISTRIBUTED__WORKER__PRELOAD": "['json']"})
    assert "distributed.worker.preload would replace the collection's own modules" in problem


def test_values_of_environment_variables_are_not_told():
    variables = {"a": {"SHORT": 1, "TOKEN": "canary"}, "b": {"LONGER": "canary and more"}}
    assert without_secrets("int('canary and more') 1: canary", variables) == "int('********') 1: ********"


def test_sentry_needs_its_library(monkeypatch):
    variables = {"SENTRY_DSN": "https://key@sentry.example/1"}
    assert find({}, variables) == []
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    (problem,) = find({}, variables)
    assert "the environment has no sentry-sdk" in problem
    assert find({}, variables, error_monitor=False) == find({}, variables, kind="scheduler") == []
    assert find({}, {"SENTRY_DSN": ""}) == []


VARIABLES = "dask_worker_pools.big.environment_variables"


def test_variables_of_a_pool_are_checked_with_those_of_all():
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
        ({"lifetime": "12 huors"}, "big.lifetime is '12 huors', which is no duration: write it like '12 hours'"),
        ({"lifetime_stagger": "-1 h"}, "big.lifetime_stagger is '-1 h', which is no duration"),
        ({"arguments": ["--death-timeut", "3"]}, "big.arguments: No such option '--death-timeut'."),
        ({"arguments": ["surplus"]}, "big.arguments: Got unexpected extra argument: (surplus)"),
        ({"arguments": ["--worker-class"]}, "big.arguments: Option '--worker-class' requires an argument."),
        ({"arguments": ["--help"]}, "big.arguments: with these 'dask worker' would print a text and end"),
        ({"command": "dask cuda worker"}, "big.command is 'dask cuda worker', which cannot be imported"),
    ],
)
def test_a_pool_that_dask_would_not_start(changes, said):
    pool = {"arguments": [], "lifetime": "", "lifetime_stagger": "", "command": "dask worker"}
    good = {**pool, "arguments": ["--death-timeout", "30"], "lifetime": "12 hours"}
    assert find({}, pools={"dask_worker_pools.big.": good}) == []
    (problem,) = find({}, pools={"dask_worker_pools.big.": {**pool, **changes}})
    assert problem.startswith("dask_worker_pools.big.") and said in problem


COMMAND = """
import click

@click.command()
@click.argument("worker", required=False)
@click.option("--level", type=int, default=1)
def dask_setup(worker, level):
    raise RuntimeError("nobody calls it here")
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
        ("", ["--level", "2"], "takes no arguments: its dask_setup is no command of click"),
        (
            COMMAND,
            ["--depth", "2"],
            "does not understand its arguments: No such option '--depth'",
        ),
        (
            COMMAND,
            ["--level", "x"],
            "does not understand its arguments: Invalid value for '--level': 'x' is not a valid integer",
        ),
        (COMMAND, ["--level", "2"], None),
        ("print('noise on standard output')", [], None),
        ("import dask; assert dask.config.get('distributed.comm.retry.count') == 7", [], None),
        ("import threading, time; threading.Thread(target=time.sleep, args=[600]).start()", [], None),
    ],
)
def test_what_a_preload_does_when_it_is_imported(text, arguments, said, tmp_path):
    """In a process of its own, as on a host."""
    (tmp_path / "greeting.py").write_text(text)
    worker = {"preload": ["daskops_runtime.worker", "greeting"], "preload-argv": [[], arguments]}
    configuration = {"distributed": {"worker": worker, "comm": {"retry": {"count": 7}}}}
    (tmp_path / "dask.yaml").write_text(yaml.safe_dump(configuration))
    asked = {
        "kind": "worker", "configuration": str(tmp_path / "dask.yaml"), "asked": {}, "variables": {}, "namespaces": [],
        "nanny": False, "error_monitor": True, "pools": {},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "daskops_runtime.check"],
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
    assert [problem.rstrip(".") for problem in json.loads(done.stdout)] == expected
