"""Everything that site.yml refuses: with a message that names the thing and the remedy, before any host is changed."""

import re
from pathlib import Path

import pytest
import yaml

HOSTS = yaml.safe_load((Path(__file__).parent.parent / "hosts.yml").read_text())

# By name of the case: variables by host (or "all") that make the inventory wrong, and what the message must say.
VARIABLES = {
    "unknown variable": ({"all": {"dask_worker_treads": 2}}, r"dask_worker_treads.*Did you mean dask_worker_threads"),
    "unknown variable of one host": ({"worker2": {"dask_zebra": "red"}}, r"dask_zebra, set for worker2.*Remove it"),
    "memory does not parse": ({"all": {"dask_worker_memory": "lots"}}, r"worker1: dask_worker_memory: 'lots' is not a size.*4GiB"),
    "memory is a fraction": ({"all": {"dask_worker_memory": 0.5}}, r"dask_worker_memory: '0.5' is not a size; write it like"),
    "port does not parse": ({"all": {"dask_worker_port": "http"}}, r"dask_worker_port.*unable to convert to int"),
    "port needs root": ({"all": {"dask_scheduler_port": 786}}, r"scheduler: dask_scheduler_port is 786; ports below 1024 need root"),
    "ports overlap": ({"all": {"dask_worker_dashboard_port": 8800}}, r"dask_worker_dashboard_port \(8800\) and dask_worker_port \(8800\) overlap.*Set them"),
    "too many threads": ({"worker2": {"dask_worker_threads": 4096}}, r"worker2: .*4096 cores, worker2 has \d+. Lower dask_worker_count or dask_worker_threads"),
    "too much memory": ({"worker2": {"dask_worker_memory": "64TiB"}}, r"do not fit worker2, which has .*Lower dask_worker_memory to \d+MiB or less"),
    "too little disk": ({"worker1": {"dask_free_disk": "512TiB"}}, r"worker1 has .* free at /, .*dask_free_disk asks for 512.0 TiB. Free some"),
    "scratch on tmpfs": ({"worker1": {"dask_worker_scratch_directory": "/dev/shm/scratch"}}, r"worker1: dask_worker_scratch_directory \(/dev/shm/scratch\) is on tmpfs.*Choose a directory on a local disk, or set dask_worker_scratch_any_filesystem"),
    "no such Python": ({"worker1": {"dask_python": "python3.99"}}, r"worker1 has no working Python 'python3.99'. Install it, or set dask_python"),
    "scheduler on Windows, by WinRM": ({"scheduler": {"ansible_connection": "winrm"}}, r"scheduler: the scheduler is not installed on Windows.*systemd.*about 100 workers at most.*Put the scheduler on a Linux host; workers may run anywhere"),
    "scheduler on Windows, by SSH": ({"scheduler": {"ansible_shell_type": "powershell"}}, r"scheduler: the scheduler is not installed on Windows.*Put the scheduler on a Linux host"),
    "scheduler declared to be Windows": ({"all": {"dask_scheduler_platform": "windows"}}, r"scheduler: the scheduler is not installed on Windows"),
    "worker on Windows": ({"worker1": {"ansible_connection": "winrm"}}, r"worker1: workers on Windows are not managed here.*Take the host out of dask_workers"),
    "port for the scheduler alone": ({"scheduler": {"dask_scheduler_port": 9786}}, r"dask_scheduler_port is not set for most hosts, but differs for scheduler \(9786\).*set it once, for all hosts"),
    "another lock for one host": ({"worker2": {"dask_environment_lock": "other.txt"}}, r"dask_environment_lock is not set.* worker2 \(other.txt\).*set it once"),
    "own scheduler and another's": ({"all": {"dask_scheduler_address": "tcp://10.0.0.5:8786"}}, r"dask_scheduler_address \(tcp://10.0.0.5:8786\).*Keep one of the two"),
    "lock is missing": ({"all": {"dask_environment_lock": "/nowhere/lock.txt"}}, r"dask_environment_lock \(/nowhere/lock.txt\) does not exist on the controller"),
    "preload is missing": ({"all": {"dask_worker_preloads": ["/nowhere/monitor.py"]}}, r"worker1: dask_worker_preloads names /nowhere/monitor.py, which does not exist on the controller. Correct"),
}  # fmt: skip

LOCKS = {
    "lock without hashes": ("toolz==1.0.0\n", r"'toolz==1.0.0' has no sha256 hash.*--generate-hashes"),
    "lock that pins nothing": ("toolz>=1\n", r"'toolz>=1' pins no version.*uv pip compile"),
    "lock for another Python": (
        f"toolz==1.0.0 ; python_version < '3' --hash=sha256:{'0' * 64}\n",
        r"no package in it is for Python 3\.\d+\.\d+",
    ),
    "package whose hash differs": (
        f"toolz==1.0.0 --hash=sha256:{'0' * 64}\n",
        r"toolz==1\.0\.0.* differs from its hash in the lock: do not use it",
    ),
}

GROUPS = {
    "no scheduler": ({"dask_workers": ["worker1", "worker2"]}, r"dask_scheduler has no host. Put one Linux host in it, or set"),
    "two schedulers": ({"dask_scheduler": ["scheduler", "worker1"], "dask_workers": ["worker2"]}, r"dask_scheduler has 2 hosts \(scheduler, worker1\). Leave exactly one"),
    "no workers": ({"dask_scheduler": ["scheduler"]}, r"The group dask_workers has no host. Put at least one in it"),
}  # fmt: skip


@pytest.fixture
def refused(cluster, play, tmp_path):
    """Run site.yml on an inventory that it refuses: right message, no host touched."""

    def run(inventory, message, *arguments):
        hosts = tmp_path / "hosts.yml"
        hosts.write_text(yaml.safe_dump(inventory))
        testbed = Path(__file__).parents[3] / "testbed" / "inventory.py"
        done = play("site", *arguments, inventory=[f"--inventory={testbed}", f"--inventory={hosts}"])
        assert done.returncode != 0, done.output
        assert re.search(message, done.output.replace("\n", " ")), done.output
        assert "Traceback" not in done.output
        assert not any(done.changed.values()), done.output
        for name in [cluster.scheduler, *cluster.workers]:
            traces = "ls -d /opt/dask /var/lib/dask /etc/systemd/system/dask* 2>/dev/null; getent passwd dask"
            assert cluster.host(name).run(traces).stdout == ""

    return run


def with_variables(variables):
    """The scenario's inventory, with more variables by host."""
    inventory = yaml.safe_load(yaml.safe_dump(HOSTS))
    groups = inventory["all"]["children"]
    for host, values in variables.items():
        if host == "all":
            inventory["all"]["vars"] = values
            for group in groups.values():  # the scenario's own must not be nearer than the wrong ones
                for name in values:
                    group.get("vars", {}).pop(name, None)
        else:
            group = "dask_scheduler" if host == "scheduler" else "dask_workers"
            groups[group]["hosts"][host].update(values)
    return inventory


def with_groups(groups):
    """The scenario's hosts, in other groups."""
    addresses = {**HOSTS["all"]["children"]["dask_scheduler"]["hosts"], **HOSTS["all"]["children"]["dask_workers"]["hosts"]}
    children = {group: {"hosts": {name: addresses[name] for name in names}} for group, names in groups.items()}
    children["testbed"] = {"children": {group: None for group in groups}}
    return {"all": {"children": children}}


@pytest.mark.parametrize("case", VARIABLES)
def test_variables(refused, case):
    variables, message = VARIABLES[case]
    refused(with_variables(variables), message)


@pytest.mark.parametrize("case", GROUPS)
def test_groups(refused, case):
    groups, message = GROUPS[case]
    refused(with_groups(groups), message)


@pytest.mark.parametrize("case", LOCKS)
def test_locks(refused, tmp_path, case):
    text, message = LOCKS[case]
    lock = tmp_path / "lock.txt"
    lock.write_text(text)
    refused(with_variables({"all": {"dask_environment_lock": str(lock)}}), message)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("3.9.2", r"worker2 has Python 3.9.2 at .*; Dask needs 3.10 or newer. Install a newer one and set dask_python"),
        ("3.12.4", r"Python differs: worker2 \(3.12.4\); the other hosts have 3\.\d+.*Set dask_python to one"),
    ],
)
def test_pythons(cluster, refused, version, message):
    # Debian has one Python; this one answers as another would.
    program = (
        "#!/usr/bin/python3\nimport platform, sys\n"
        f"platform.python_version = lambda: '{version}'\nexec(sys.argv[2])\n"
    )
    host = cluster.host("worker2")
    host.check_output(f"install -m 755 /dev/stdin /usr/local/bin/another-python <<'EOF'\n{program}EOF")
    refused(with_variables({"worker2": {"dask_python": "/usr/local/bin/another-python"}}), message)


@pytest.mark.parametrize(("port", "variable"), [(8786, "dask_scheduler_port"), (8787, "dask_scheduler_dashboard_port")])
def test_taken_port(cluster, refused, port, variable):
    host = cluster.host("scheduler")
    host.check_output(f"systemd-run --quiet --unit=squatter python3 -m http.server {port}")
    try:
        cluster.wait_until(lambda: host.socket(f"tcp://0.0.0.0:{port}").is_listening, 10)
        refused(HOSTS, rf"scheduler: port {port} \({variable}\) is held by python3 \(process \d+\) of squatter.service. Stop")
    finally:
        host.check_output("systemctl stop squatter")


def test_too_many_workers_for_a_scheduler_on_windows(refused):
    inventory = with_groups({"dask_workers": ["worker1", "worker2"]})
    inventory["all"]["vars"] = {
        "dask_scheduler_address": "tcp://winbox:8786",
        "dask_scheduler_platform": "windows",
        "dask_windows_scheduler_max_workers": 1,
        "dask_worker_memory": "1GiB",
    }
    refused(inventory, r"2 worker processes are planned for a scheduler on Windows.*dask_windows_scheduler_max_workers is 1")


def test_refusals_hold_in_check_mode(refused):
    refused(with_variables({"all": {"dask_worker_memory": "lots"}}), r"dask_worker_memory: 'lots' is not a size", "--check")
