# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers of one host leave at the end of their hours, and return at the begin, by the timers of systemd."""

import json
import time

#: Seconds before the end of the hours at which workers begin to leave: `dask_worker_drain_timeout` and 15 s.
DRAIN = 30
#: Seconds in which a run of `site.yml` changes the hours. On a busy machine, the test tries again with more.
RUNS = (30, 120, 240)

TASK = """
import time
kept = client.scatter([b"kept"], workers=["worker1-numeric-1"], hash=False)
def wait(until):
    time.sleep(max(0, until - time.time()))
    return "finished"
future = client.submit(wait, {until}, workers=["worker1-numeric-1"], allow_other_workers=True)
while not client.processing()[next(a for a, w in client.scheduler_info(n_workers=-1)["workers"].items()
                                   if w["name"] == "worker1-numeric-1")]:
    time.sleep(0.1)
print("running", flush=True)
print(future.result(600), client.gather(kept)[0].decode())
"""


def clock(seconds):
    return time.strftime("%H:%M", time.gmtime(seconds))


def test_hours(cluster, play):
    host, unit, other = cluster.host("worker1"), "dask-worker@numeric-1", "dask-worker@waiting-1"

    def names():
        return {worker["name"] for worker in cluster.summary()["workers"]}

    def status(name):
        return host.check_output(f"systemctl show --property=StatusText --value {name}")

    def pid(name):
        return host.check_output(f"systemctl show --property=MainPID --value {name}")

    for seconds in RUNS:
        before = pid(unit)
        end = (time.time() + seconds + DRAIN + 59) // 60 * 60
        # The hours of one pool end when those of the other one begin.
        hours = {"numeric": f"{clock(end - 7200)}-{clock(end)} UTC", "waiting": f"{clock(end)}-{clock(end + 7200)} UTC"}
        overrides = {name: {"hours": text} for name, text in hours.items()}
        run = play("site", "--limit=worker1", "-e", json.dumps({"dask_worker_pool_overrides": overrides}))
        assert run.returncode == 0, run.output
        if time.time() < end - DRAIN - 5:
            break
        cluster.wait_until(lambda: "Outside of its hours until " in status(unit), DRAIN + 10)
    assert time.time() < end - DRAIN, end - time.time()
    # The change itself restarts no worker. The one that may not run any more drains.
    assert pid(unit) == before or seconds != RUNS[0]
    cluster.wait_until(lambda: "worker1-numeric-1" in names(), end - DRAIN - time.time())
    task = cluster.start(TASK.format(until=end - DRAIN + 5))
    assert task.stdout.readline() == "running\n", task.stderr.read()
    cluster.wait_until(lambda: "worker1-waiting-1" not in names(), max(20, end - DRAIN - time.time()))

    cluster.wait_until(lambda: "worker1-numeric-1" not in names(), end - time.time())
    assert end - DRAIN < time.time() < end
    output, errors = task.communicate(timeout=60)
    assert output == "finished kept\n", errors
    assert "drained in" in host.check_output(f"journalctl --unit={unit} --output=cat")
    cluster.wait_until(lambda: "Outside of its hours until " in status(unit), 10)
    if end - time.time() > 3:
        found = {worker["name"]: worker["outside"] for worker in cluster.summary()["standby"]}
        assert found.keys() == {"worker1-numeric-1", "worker1-waiting-1"}
        assert found["worker1-waiting-1"].endswith(f" {clock(end)} UTC")

    cluster.wait_until(lambda: "worker1-waiting-1" in names(), end + 20 - time.time())
    assert time.time() >= end
    report = play("status")
    assert report.returncode == 0, report.output
    assert "The cluster is healthy: 5 worker(s), 1 outside of their hours, at" in report.output
    tomorrow = end - 7200 + 86400
    returns = f"{time.strftime('%a', time.gmtime(tomorrow))} {clock(tomorrow)} UTC"
    assert f"Outside of their hours: worker1-numeric-1 until {returns}." in report.output
    fired = host.check_output("journalctl --unit='dask-worker-hours@*' --output=cat")
    assert "dask-worker-hours@numeric.service" in fired and "dask-worker-hours@waiting.service" in fired, fired

    # A restart of the unit outside of its hours starts no worker. Without hours, it returns, and the timers are removed.
    host.check_output(f"systemctl restart {unit}")
    assert "Outside of its hours until " in status(unit) and "worker1-numeric-1" not in names()
    waiting = pid(other)
    run = play("site", "--limit=worker1")
    assert run.returncode == 0, run.output
    cluster.wait_until(lambda: "worker1-numeric-1" in names(), 30)
    assert pid(other) == waiting
    assert "dask-worker-hours" not in host.check_output("systemctl list-timers --all; ls /etc/systemd/system")
