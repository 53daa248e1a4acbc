# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks of the services' user on root, through everything that this user can write to."""

import pytest

# Modules in the home, which must not be imported when services start or stop, or when a configuration is validated.
HOME = "/var/lib/dask"
MODULES = ["click", "daskops_runtime", "difflib", "distributed", "json", "multiprocessing", "re", "socket", "yaml"]
MODULE = "open('/var/lib/dask/imported', 'a').write(__name__); raise SystemExit(1)"

# Locks all files that the user can open, and maps a file whose name is not UTF-8.
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

# A worker without a nanny can notify systemd for its unit.
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
    """Run a program as the services' user outside the sandbox."""
    host.check_output(f"cat > /srv/{unit}.py <<'END'\n{program}\nEND")
    host.check_output(f"systemd-run --quiet --collect --unit={unit} --uid=dask python3 /srv/{unit}.py")


@pytest.fixture
def attack(cluster):
    """Start the attacks, and return a function that fails if they had an effect on a run or on the services."""
    hosts = [cluster.host(name) for name in [cluster.scheduler, *cluster.workers]]

    def check(run):
        assert "WARNING" not in run.output
        worker = cluster.host(cluster.workers[0])
        worker.check_output("systemctl restart dask-worker@1.service")
        assert "drained in" in worker.check_output("journalctl --no-pager --unit=dask-worker@1 --since=-2min")
        assert not any(host.file(f"{HOME}/imported").exists for host in hosts)
        cluster.wait_until(cluster.is_whole, 60)

    try:
        for host in hosts:
            for module in MODULES:
                host.check_output(f'echo "{MODULE}" > {HOME}/{module}.py')
            start(host, "attack", ATTACK)
        cluster.compute(SAY)
        yield check
    finally:
        for host in hosts:
            host.run("systemctl stop attack.service")
            host.check_output(f"rm -rf {HOME}/*.py {HOME}/__pycache__ {HOME}/imported /var/tmp/caf* /srv/attack.py")


@pytest.fixture
def start_as_user():
    """Return a function that starts a program on a host as the services' user, in a unit of the given name."""
    return start
