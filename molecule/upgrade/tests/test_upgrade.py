"""Nothing is lost while the cluster changes: no result, no scattered data, no error, and no task is executed twice."""

import collections
import json
import time

import pytest

# A task notes its execution on the host where it runs. The client computes until it is told to stop.
LOAD = """
import os

def work(number):
    import time
    with open("/var/lib/dask/executed.log", "a") as log:
        log.write(f"{number}\\n")
    time.sleep(0.3)
    return number**2

scattered = client.scatter([bytes([number]) * 100_000 for number in range(100)])
print("computing", flush=True)
done = 0
while not os.path.exists("/tmp/stop-load"):
    numbers = range(done, done + 60)
    assert client.gather(client.map(work, numbers, pure=False)) == [number**2 for number in numbers]
    done += 60
assert client.gather(scattered) == [bytes([number]) * 100_000 for number in range(100)]
print(done)
"""


@pytest.fixture
def load(cluster):
    """A client that computes for as long as the test runs, and is then asked what it has lost."""
    scheduler = cluster.host(cluster.scheduler)
    scheduler.check_output("rm -f /tmp/stop-load")
    for name in cluster.workers:
        cluster.host(name).check_output("rm -f /var/lib/dask/executed.log")
    client = cluster.start(LOAD)
    assert client.stdout.readline() == "computing\n", client.stderr.read()
    time.sleep(2)
    yield client
    scheduler.check_output("touch /tmp/stop-load")
    output, errors = client.communicate(timeout=120)
    assert client.returncode == 0, errors
    executed = collections.Counter()
    for name in cluster.workers:
        executed.update(cluster.host(name).run("cat /var/lib/dask/executed.log").stdout.split())
    print(f"{output.strip()} tasks while the cluster changed")
    assert int(output) > 0
    assert set(executed) == {str(number) for number in range(int(output))}
    assert {number: times for number, times in executed.items() if times > 1} == {}


def test_restart_by_hand(cluster, load):
    for name in cluster.workers[:2]:
        host = cluster.host(name)
        host.check_output("systemctl restart dask-worker@1")
        assert "drained" in host.check_output("journalctl --unit=dask-worker@1 --output=cat --lines=60")
        cluster.wait_until(cluster.is_whole, 30)


def test_rolling_change_of_packages(cluster, play, load, lock):
    scheduler = cluster.summary()["scheduler"]["id"]
    run = play("site", "-e", f"dask_environment_lock={lock}", "-e", "dask_scheduler_idle_timeout=1")
    assert run.returncode == 0, run.output
    # The scheduler has work, so it is left alone, and the run says so.
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert "The scheduler is pending" in run.output
    assert cluster.is_whole()
    assert len({worker["release"].split(".")[0] for worker in cluster.summary()["workers"]}) == 1


def test_next_run_picks_the_scheduler_up(cluster, play):
    # Back to the default lock; nobody computes.
    scheduler = cluster.summary()["scheduler"]["id"]
    run = play("site", "-e", json.dumps({"dask_config": {"distributed": {"scheduler": {"allowed-failures": 11}}}}))
    assert run.returncode == 0, run.output
    assert cluster.summary()["scheduler"]["id"] != scheduler
    assert "pending" not in run.output.split("Ask the cluster how it is")[1]
    run = play("site")
    assert run.returncode == 0, run.output


def test_release_that_does_not_work_is_put_back(cluster, play, load, tmp_path):
    before = cluster.summary()["workers"]
    preload = tmp_path / "broken.py"
    preload.write_text("import sys\n\n\ndef dask_setup(worker):\n    sys.exit('this preload is broken')\n")
    run = play("site", "-e", json.dumps({"dask_worker_preloads": [str(preload)]}))
    assert run.returncode != 0
    assert f"{cluster.workers[0]}: dask-worker@1.service does not come up" in run.output, run.output
    assert "this preload is broken" in run.output
    assert f"This batch ({cluster.workers[0]}) runs what it ran before again" in run.output
    cluster.wait_until(cluster.is_whole, 30)
    after = cluster.summary()["workers"]
    assert [worker["release"] for worker in after] == [worker["release"] for worker in before]
    # The hosts after the first were not touched: their processes are the same.
    assert [worker["pid"] for worker in after[1:]] == [worker["pid"] for worker in before[1:]]
    run = play("site", "--check")
    assert run.returncode == 0 and not any(run.changed.values()), run.output
