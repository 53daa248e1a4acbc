"""What the services' user gets root to do, and what it keeps root from doing, by all that it can write to."""

import json

import pytest

# Modules in the home, which Python must not import when services start and stop and when a configuration is checked.
HOME = "/var/lib/dask"
MODULES = ["click", "daskops_runtime", "difflib", "distributed", "json", "multiprocessing", "re", "socket", "yaml"]
MODULE = "open('/var/lib/dask/imported', 'a').write(__name__); raise SystemExit(1)"

# Locks what it may open, and maps a file whose name is not UTF-8.
ATTACK = """
import fcntl, glob, mmap, os, time
directories = ["/etc/systemd/system", "/run", "/run/daskops", "/opt/dask"]
for path in [*directories, *glob.glob("/opt/dask/*"), *glob.glob("/opt/dask/*/.*")]:
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
with open(b"/var/tmp/caf\\xe9.bin", "wb") as file:
    file.write(bytes(4096))
with open(b"/var/tmp/caf\\xe9.bin", "rb") as file:
    kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
time.sleep(3600)
"""

# Puts nothing, a link and a directory in the place of a path, again and again.
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

# A worker without a nanny may talk to systemd for its unit.
SAY = r"""
def say():
    import socket, threading, time
    status = "STATUS=Worker\x0bMainPID=1\x0bActiveState=inactive\u2028MainPID\x0c\x0cId=dask-scheduler.service\x1d"

    def repeat():
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.connect("/run/systemd/notify")
                sock.send(status.encode())
            time.sleep(0.1)

    threading.Thread(target=repeat, daemon=True).start()

client.run(say)
"""


def start(host, unit, program):
    """Run a program as the services' user, outside of every sandbox."""
    host.check_output(f"cat > /srv/{unit}.py <<'END'\n{program}\nEND")
    host.check_output(f"systemd-run --quiet --collect --unit={unit} --uid=dask python3 /srv/{unit}.py")


@pytest.fixture
def attack(cluster):
    hosts = [cluster.host(name) for name in [cluster.scheduler, *cluster.workers]]
    for host in hosts:
        for module in MODULES:
            host.check_output(f'echo "{MODULE}" > {HOME}/{module}.py')
        start(host, "attack", ATTACK)
    yield
    for host in hosts:
        host.run("systemctl stop attack.service")
        host.check_output(f"rm -rf {HOME}/*.py {HOME}/__pycache__ {HOME}/imported /var/tmp/caf* /srv/attack.py")


def test_a_user_who_owns_the_home_keeps_no_run_from_changing_the_cluster(cluster, play, attack):
    before = cluster.pids()
    cluster.compute(SAY)
    # A setting for all services: it is checked, and all of them stop, drain and start.
    run = play("site", "-e", json.dumps({"dask_config": {"distributed": {"admin": {"tick": {"limit": "4 s"}}}}}))
    assert run.returncode == 0, run.output
    assert "WARNING" not in run.output
    assert not set(before.values()) & set(cluster.pids().values())
    for name in [cluster.scheduler, *cluster.workers]:
        assert not cluster.host(name).file(f"{HOME}/imported").exists
    for name in cluster.workers:
        journal = cluster.host(name).check_output("journalctl --no-pager --unit=dask-worker@1 --since=-3min")
        assert "Traceback" not in journal and "drained" in journal


def test_root_gives_no_directory_away_for_a_swapped_scratch_directory(cluster):
    host = cluster.host(cluster.workers[0])
    unit, scratch = "dask-worker@1.service", f"{HOME}/scratch"
    command = host.check_output(f"sed -n 's/^ExecStartPre=+//p' /etc/systemd/system/{unit}.d/daskops.conf")
    host.check_output("install --directory --mode=755 /srv/victim && install --directory --mode=777 /srv/open")
    host.check_output(f"systemctl stop {unit} && rm -rf {scratch}")
    try:
        start(host, "swap", SWAP)
        host.run(f"for try in $(seq 40); do {command}; done")
        assert host.check_output("systemctl stop swap.service; stat --format='%U %a' /srv/victim") == "root 755"
        # A link does not open another directory to the worker either.
        host.check_output(f"rm -rf {scratch} && ln -s /srv/open {scratch}")
        host.check_output(f"systemctl start --no-block {unit} && sleep 5")
        assert host.check_output("ls /srv/open") == ""
    finally:
        host.run("systemctl stop swap.service")
        host.check_output(f"rm -rf {scratch} /srv/swap.py /srv/victim /srv/open && systemctl restart {unit}")
    cluster.wait_until(cluster.is_whole, 60)
