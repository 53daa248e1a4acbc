# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox: services can compute, write to their own directories, and do little else."""

import json

import pytest

# Runs on each worker and on the scheduler. `tried` contains the name of the error of each attempt, if any.
PROBE = """
import json

def probe():
    import ctypes, errno, mmap, os, socket, subprocess, threading

    def tried(function, *arguments, **options):
        try:
            result = function(*arguments, **options)
        except OSError as error:
            return errno.errorcode[error.errno]
        return result if isinstance(result, (list, str)) else "done"

    def kernel(call, *arguments):
        libc = ctypes.CDLL(None, use_errno=True)
        if getattr(libc, call)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), call)

    def write(path):
        with open(path, "w") as file:
            file.write(path)

    return {
        **{path: tried(write, path) for path in %s},
        "homes": tried(os.listdir, "/home"),
        "hosts' /tmp": tried(os.stat, "/tmp/hosts-own"),
        "other users' processes": tried(os.stat, "/proc/1"),
        "devices": sorted(set(os.listdir("/dev")) & {"null", "zero", "extra", "other"}),
        "setuid program": subprocess.run(["/usr/local/bin/whoami-root"], capture_output=True, text=True).stdout.strip(),
        "mount": tried(kernel, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "ptrace": tried(kernel, "ptrace", 0, 0, 0, 0),
        "namespace": tried(kernel, "unshare", 0x10000000),
        "packets": tried(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
        "compiled code": tried(mmap.mmap, -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
        "nice": tried(os.nice, 1),
        "thread": tried(threading.Thread(target=int).start),
    }
"""
ON_WORKERS = PROBE + "\nprint(json.dumps(list(client.run(probe).values())))"
ON_THE_SCHEDULER = PROBE + "\nprint(json.dumps(client.run_on_scheduler(probe)))"

OPEN, REFUSED = "done", "EROFS"
EXPECTED = {
    "/usr/probe": REFUSED,
    "/etc/probe": REFUSED,
    "/opt/dask/probe": REFUSED,
    "/srv/everybody/probe": REFUSED,
    "/tmp/probe": OPEN,
    "/var/tmp/probe": OPEN,
    "/dev/shm/probe": OPEN,
    "/var/lib/dask/probe": OPEN,
    "homes": [],
    "hosts' /tmp": "ENOENT",
    "other users' processes": "ENOENT",
    "devices": ["null", "zero"],
    "setuid program": "dask",
    "mount": "EPERM",
    "ptrace": "EPERM",
    "namespace": "EPERM",
    "packets": "EAFNOSUPPORT",
    "compiled code": OPEN,
    "nice": OPEN,
    "thread": OPEN,
}


@pytest.fixture(scope="module", autouse=True)
def hosts(cluster):
    """Create world-readable files and directories on the hosts that services must not reach."""
    for name in [cluster.scheduler, *cluster.workers]:
        host = cluster.host(name)
        host.check_output("install --mode=4755 /usr/bin/whoami /usr/local/bin/whoami-root")
        host.check_output("install --directory --mode=777 /srv/everybody /home/ops/results")
        host.check_output("touch /tmp/hosts-own")
        for device in ("extra", "other"):
            host.check_output(f"test -e /dev/{device} || mknod --mode=666 /dev/{device} c 1 5")


def probe(cluster, program, expected):
    paths = [path for path in expected if path.startswith("/")]
    return json.loads(cluster.compute(program % paths))


def test_hosts_allow_everything_without_the_sandbox(cluster):
    """Make sure that only the sandbox prevents the access, not file modes."""
    host = cluster.host(cluster.workers[0])
    for allowed in ("touch /srv/everybody/probe", "ls /home/ops", "head -c 1 /dev/other", "unshare --user true"):
        assert host.run(f"runuser -u dask -- {allowed}").rc == 0, allowed
    assert host.check_output("runuser -u dask -- /usr/local/bin/whoami-root") == "root"


def test_exposure_by_systemd_analyze_is_low(cluster):
    look = "systemd-analyze security --no-pager --threshold=%d %s"
    cluster.host(cluster.scheduler).check_output(look % (30, "dask-scheduler.service"))
    for name in cluster.workers:
        host = cluster.host(name)
        host.check_output(look % (40, "dask-worker@1.service"))
        assert host.run(look % (40, "ssh.service")).rc != 0


def test_tasks_stay_in_the_sandbox(cluster):
    assert probe(cluster, ON_WORKERS, EXPECTED) == [EXPECTED] * len(cluster.workers)


def test_scheduler_stays_in_the_sandbox(cluster):
    expected = {**EXPECTED, "compiled code": "EPERM"}
    assert probe(cluster, ON_THE_SCHEDULER, expected) == expected


def test_workers_with_more_data_than_memory_spill(cluster):
    program = """
import dask.array as da
memory = sum(worker["memory_limit"] for worker in client.sync(client.scheduler.identity, n_workers=-1)["workers"].values())
x = da.random.random(memory // 8, chunks=500_000).persist()
assert abs(x.mean().compute() - 0.5) < 0.001
print(sum(client.run(lambda dask_worker: dask_worker.data.spilled_total.disk).values()))
"""
    assert int(cluster.compute(program)) > 100 * 1024**2


def test_tasks_can_use_their_paths_during_attacks(cluster, play, attack):
    given = {
        # A change of all services' configuration, which is validated and restarts all of them.
        "dask_config": {"distributed": {"admin": {"tick": {"limit": "4 s"}}}},
        "dask_worker_paths": ["/srv/everybody", "/home/ops/results"],
        "dask_worker_devices": ["/dev/extra"],
    }
    run = play("site", "-e", json.dumps(given))
    assert run.returncode == 0, run.output
    attack(run)
    expected = {
        **EXPECTED,
        "/srv/everybody/probe": OPEN,
        "/home/ops/results/probe": OPEN,
        "/dev/extra": OPEN,
        "homes": ["ops"],
        "devices": ["extra", "null", "zero"],
    }
    assert probe(cluster, ON_WORKERS, expected) == [expected] * len(cluster.workers)
    assert cluster.host(cluster.workers[0]).file("/srv/everybody/probe").user == "dask"
    run = play("site")
    assert run.returncode == 0, run.output


# Replaces a path in a loop: with nothing, a link and a directory.
SWAP = """
import contextlib, os, random, time
path, victim = "/var/lib/dask/scratch", "/srv/victim"
while True:
    for target in ("", victim, "directory", victim, victim + "/missing"):
        with contextlib.suppress(OSError):
            if target == "directory":
                os.mkdir(path)
            elif target:
                os.symlink(target, path)
        time.sleep(random.choice([0, 0.001, 0.005, 0.01]))
        for remove in (os.unlink, os.rmdir):
            with contextlib.suppress(OSError):
                remove(path)
"""


def test_swapping_the_scratch_directory_gives_the_user_no_other_directory(cluster, start_as_user):
    host = cluster.host(cluster.workers[0])
    unit, scratch = "dask-worker@1.service", "/var/lib/dask/scratch"
    command = host.check_output(f"sed -n 's/^ExecStartPre=+//p' /etc/systemd/system/{unit}.d/daskops.conf")
    host.check_output("install --directory --mode=755 /srv/victim && install --directory --mode=777 /srv/open")
    host.check_output(f"systemctl stop {unit} && rm -rf {scratch}")
    try:
        start_as_user(host, "swap", SWAP)
        host.run(f"for try in $(seq 40); do {command}; done")
        assert host.check_output("systemctl stop swap.service; stat --format='%U %a' /srv/victim") == "root 755"
        # A link does not make another directory writable for the worker either.
        host.check_output(f"rm -rf {scratch} && ln -s /srv/open {scratch}")
        host.check_output(f"systemctl start --no-block {unit} && sleep 5")
        assert host.check_output("ls /srv/open") == ""
    finally:
        host.run("systemctl stop swap.service")
        host.check_output(f"rm -rf {scratch} /srv/swap.py /srv/victim /srv/open && systemctl restart {unit}")
    cluster.wait_until(cluster.is_whole, 60)
