# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drain of a worker, with real schedulers, workers and stops. Tasks log each of their executions."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import threading
import time
import types
from collections import Counter
from pathlib import Path

import pytest
from conftest import free_port, wait_until
from daskops_runtime import drain
from draining import cluster, mark, mark_and_fail, mark_async, mark_seceded, unit


class Load:
    """A thread that submits tasks of all kinds until the context ends."""

    def __init__(self, client, log):
        self.client = client
        self.log = log
        self.futures = {}
        self.failing = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        wave = 0
        while not self.over.wait(0.5):
            wave += 1
            names = [f"plain-{wave}-{i}" for i in range(16)]
            plain = [self.submit(mark, name, random.uniform(0.01, 0.15)) for name in names]
            for i, future in enumerate(plain):  # needs results from other workers
                self.submit(mark, f"next-{wave}-{i}", 0.02, future, plain[i - 1])
            self.submit(mark_seceded, f"seceded-{wave}", 0.3)
            self.submit(mark_async, f"async-{wave}", 0.2)
            name = f"failing-{wave}"
            self.failing[name] = self.client.submit(mark_and_fail, self.log.path, name, 0.05, pure=False)

    def submit(self, function, name, *args, **options):
        future = self.client.submit(function, self.log.path, name, *args, pure=False, **options)
        self.futures[name] = future
        return future

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def check(self):
        names = list(self.futures)
        assert self.client.gather([self.futures[name] for name in names]) == names
        assert all(type(future.exception(60)) is ValueError for future in self.failing.values())
        assert self.log.runs() == Counter([*names, *self.failing])


# ---------------------------------------------------------------------------------------------------------------------
# Drains that succeed


@pytest.mark.parametrize("saturation, nanny", [(1.1, False), ("inf", True)])
def test_drain_under_load_loses_and_repeats_no_task(tmp_path, log, saturation, nanny):
    with cluster(tmp_path, **{"scheduler.worker-saturation": saturation}) as running:
        two = {"args": ["--nthreads", 2], "nanny": nanny}
        units = running.start("a", "b", "c", **two)
        scattered = running.client.scatter([os.urandom(50_000) for _ in range(60)])
        kept = running.client.gather(scattered)
        with Load(running.client, log) as load:
            for old in units[:2]:
                # The worker must be busy, with further tasks assigned, when it is stopped.
                near = [f"near-{old.name}-{i}" for i in range(12)]
                address = [running.address(old.name)]
                for name in near:
                    load.submit(mark, name, 0.4, workers=address, allow_other_workers=True)
                wait_until(lambda near=near: log.ended() & set(near), interval=0.01)
                output = old.stop()
                assert " 0 tasks finished" not in output
                assert output.splitlines()[-1].startswith("drained in ")
                assert "gave up" not in output and "lost" not in output
                assert "ERROR" not in old.errors()
                running.start(old.name, **two)
        assert len(load.futures) > 60
        load.check()
        assert running.client.gather(scattered) == kept


def test_tasks_not_started_move_to_other_workers_at_once(tmp_path, log):
    with cluster(tmp_path, **{"scheduler.worker-saturation": "inf"}) as running:
        (old,) = running.start("old")
        first = running.client.submit(mark, log.path, "first", log.gate, pure=False)
        seed = running.client.scatter(1)
        queue = [running.client.submit(mark, log.path, f"queued-{i}", 0, seed, pure=False) for i in range(200)]
        log.wait_for("first")
        running.start("new")
        asked = old.ask()
        wait_until(lambda: len(log.ended()) == 200)  # while the first task still runs
        log.open_gate()
        assert asked.communicate(timeout=30)[0].splitlines()[-1].startswith("drained in ")
        assert first.result() == "first"
        assert running.client.gather(queue) == [f"queued-{i}" for i in range(200)]
        assert set(log.runs().values()) == {1} and len(log.runs()) == 201


def test_last_task_is_not_repeated(shared, log):
    def talk_slowly(dask_worker):
        dask_worker.batched_stream.interval = 1.0

    (slow,) = shared.start("slow-tongue")
    running = shared.near("slow-tongue", mark, log.path, "running", log.gate)
    log.wait_for("running")
    # Task states go through the slow stream, so they reach the scheduler later than the worker's requests.
    shared.client.run(talk_slowly, workers=[shared.address("slow-tongue")])
    asked = slow.ask()
    assert asked.stdout.readline() == "draining: 1 task left\n"
    time.sleep(1.5)
    log.open_gate()
    assert "1 task finished, 1 key handed over" in asked.communicate(timeout=30)[0]
    assert running.result() == "running" and log.runs() == {"running": 1}


def test_task_bound_to_the_worker_waits_for_its_return(shared, log):
    port = free_port()
    fixed = {"args": ["--worker-port", port]}
    (old,) = shared.start("bound", **fixed)
    first = shared.on("bound", mark, log.path, "first", 1)
    bound = shared.on("bound", mark, log.path, "bound", 0)
    log.wait_for("first")
    assert old.stop().splitlines()[-1].startswith("drained in ")
    assert first.result() == "first"
    assert bound.status == "pending"
    (new,) = shared.start("bound", **fixed)
    assert bound.result(20) == "bound"
    assert set(log.runs().values()) == {1}
    new.stop()


def test_idle_worker_stops_at_once(shared):
    (idle,) = shared.start("idle")
    begin = time.monotonic()
    assert "0 tasks finished, 0 keys handed over" in idle.stop(300)
    assert time.monotonic() - begin < 20
    assert "idle" not in shared.names()
    assert not idle.socket.exists()
    assert "drained in" in idle.errors()


def test_nanny_stops_with_its_worker(shared, log):
    (nannied,) = shared.start("nannied", nanny=True)
    (data,) = shared.scatter("nannied", b"kept")
    running = shared.near("nannied", mark, log.path, "running", 1.5)
    log.wait_for("running")
    output = nannied.stop()
    assert "1 task finished, 2 keys handed over" in output
    assert nannied.errors().count("Start worker at") == 1
    assert shared.client.gather([data, running]) == [b"kept", "running"]
    assert log.runs() == {"running": 1}


def test_results_copied_by_the_scheduler_are_counted(shared, log):
    async def move_away(address, key, dask_scheduler):
        """Copy a key to another worker and drop it here, as the active memory manager does, but at once."""
        import asyncio

        from distributed.active_memory_manager import RetireWorker

        memory_manager = dask_scheduler.extensions["amm"]
        while dask_scheduler.workers[address] in dask_scheduler.tasks[key].who_has:
            memory_manager.add_policy(RetireWorker(address))
            memory_manager.run_once()
            await asyncio.sleep(0.002)

    names = [f"early-{i}" for i in range(8)]
    (busy,) = shared.start("busy", args=["--nthreads", 9])
    address = shared.address("busy")
    early = [shared.near("busy", mark, log.path, name, f"{log.gate}-of-{name}") for name in names]
    last = shared.near("busy", mark, log.path, "last", log.gate)
    log.wait_for(*names, "last")
    asked = busy.ask()
    assert asked.stdout.readline() == "draining: 9 tasks left\n"
    for name, future in zip(names, early, strict=True):
        Path(f"{log.gate}-of-{name}").touch()
        future.result()
        shared.client.run_on_scheduler(move_away, address, future.key)
    log.open_gate()
    assert "9 tasks finished, 9 keys handed over" in asked.communicate(timeout=30)[0]
    assert shared.client.gather([*early, last]) == [*names, "last"]


def test_second_stop_joins_the_first(shared, log):
    (twice,) = shared.start("twice")
    running = shared.near("twice", mark, log.path, "running", log.gate)
    log.wait_for("running")
    asked = [twice.ask(20)]
    wait_until(lambda: "draining" in twice.errors())
    asked.append(twice.ask(10))  # the deadline of the first stop stays
    assert asked[1].stdout.readline() == "draining: 1 task left\n"
    log.open_gate()
    first, second = (stop.communicate(timeout=30)[0].splitlines() for stop in asked)
    assert first[-1] == second[-1]
    assert first[-1].startswith("drained in ")
    assert "draining: 1 task left" in first
    assert twice.errors().count("drained in") == 1
    assert twice.process.wait(10) == 0
    assert running.result() == "running" and log.runs() == {"running": 1}


def test_drain_notifies_systemd(shared, log, notify):
    variables = {"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": "300000"}
    (watched,) = shared.start("watched", **variables)
    running = shared.near("watched", mark, log.path, "running", log.gate)
    log.wait_for("running")
    fed = len(notify.having("WATCHDOG=1"))
    asked = watched.ask()
    told = notify.wait_for("STATUS=draining: 1 task left", more_than=1)
    assert told[0][1][0] == "STATUS=draining: 1 task left"  # systemd reads the first STATUS= line
    notify.wait_for("WATCHDOG=1", more_than=fed + 10)
    log.open_gate()
    notify.wait_for("STOPPING=1")
    assert asked.wait(20) == 0 and watched.process.wait(10) == 0
    assert running.result() == "running"


# ---------------------------------------------------------------------------------------------------------------------
# The deadline


def test_endless_tasks_are_given_up_and_data_is_kept(shared, log):
    (slow,) = shared.start("slow", args=["--nthreads", 12])
    (data,) = shared.scatter("slow", b"kept")
    done = shared.near("slow", mark, log.path, "done")
    done.result()
    endless = [shared.on("slow", mark, log.path, f"endless-{i}", 600) for i in range(12)]
    log.wait_for(*(f"endless-{i}" for i in range(12)))
    begin = time.monotonic()
    end = slow.stop(timeout=5).splitlines()[-1]
    assert time.monotonic() - begin < 5 + 10  # without Dask's 30 s for threads to end
    assert "0 tasks finished, 2 keys handed over" in end
    assert "gave up 12 tasks still running" in end and "and 2 more" in end
    assert sum(future.key in end for future in endless) == 10
    assert end in slow.errors()
    assert shared.client.gather([data, done]) == [b"kept", "done"]
    assert set(log.runs().values()) == {1}
    assert {shared.suspicious(future) for future in endless} == {0}  # or the tasks would fail later
    shared.client.cancel(endless)


def test_actor_is_lost_and_data_is_kept(shared):
    class Stage:
        n = 0
        _asynchronous = False

    (stage,) = shared.start("stage")
    address = [shared.address("stage")]
    actor = shared.client.submit(Stage, actor=True, workers=address)
    actor.result()
    data = shared.client.scatter([os.urandom(1000) for _ in range(5)], workers=address)
    kept = shared.client.gather(data)
    end = stage.stop(timeout=20).splitlines()[-1]
    assert "5 keys handed over" in end
    assert "lost 1 actor," in end
    assert shared.client.gather(data) == kept


# ---------------------------------------------------------------------------------------------------------------------
# Data without a destination


def test_worker_with_a_blocked_event_loop_is_killed_at_the_deadline(tmp_path):
    async def hang():
        import time

        time.sleep(600)

    with cluster(tmp_path) as running:
        (hung,) = running.start("hung")
        running.client.run(hang, wait=False)  # blocks the worker's event loop
        wait_until(lambda: running.workers()[running.address("hung")]["last_seen"] < time.time() - 2)
        begin = time.monotonic()
        output, _ = hung.ask(timeout=1).communicate(timeout=40)
        assert hung.process.wait(5) == -signal.SIGABRT
        assert time.monotonic() - begin < 20
        assert "Its tasks and data are lost" in output


def test_last_worker_does_not_wait_for_others(tmp_path, log):
    with cluster(tmp_path) as running:
        (only,) = running.start("only")
        data = running.client.scatter([os.urandom(1000) for _ in range(3)])
        result = running.client.submit(mark, log.path, "result", 1, pure=False)
        log.wait_for("result")
        begin = time.monotonic()
        end = only.stop(timeout=300).splitlines()[-1]
        assert time.monotonic() - begin < 30
        assert "1 task finished, 0 keys handed over" in end
        assert "lost 4 keys" in end and "kiB" in end and "no other worker" in end
        running.start("only")
        assert result.result(20) == "result"  # a result can be computed again, scattered data cannot
        assert data[0].status in ("cancelled", "lost")


def test_worker_waits_for_paused_peers(tmp_path, log):
    with cluster(tmp_path) as running:
        (full,) = running.start("full")
        data = running.client.scatter([os.urandom(1000) for _ in range(3)])
        kept = running.client.gather(data)
        (peer,) = running.start("peer")
        running.set_status("peer", "paused")
        asked = full.ask(timeout=30)
        time.sleep(2)
        assert full.process.poll() is None
        running.set_status("peer", "running")
        assert "3 keys handed over" in asked.communicate(timeout=40)[0]
        assert full.process.wait(10) == 0
        assert running.client.gather(data) == kept

        # The only peer stays paused, so the data is lost at the deadline.
        running.start("late")
        running.set_status("late", "paused")
        endless = running.on("peer", mark, log.path, "endless", 600)
        log.wait_for("endless")
        begin = time.monotonic()
        end = peer.stop(timeout=3).splitlines()[-1]
        assert 2 < time.monotonic() - begin < 20
        assert "lost 3 keys" in end and "paused" in end
        assert running.suspicious(endless) == 0  # or the task would fail later


def test_all_workers_at_once(tmp_path):
    with cluster(tmp_path) as running:
        units = running.start("a", "b")
        data = running.client.scatter([os.urandom(1000) for _ in range(4)])
        begin = time.monotonic()
        asked = [unit.ask(300) for unit in units]
        ends = [stop.communicate(timeout=60)[0].splitlines()[-1] for stop in asked]
        assert [unit.process.wait(10) for unit in units] == [0, 0]
        assert time.monotonic() - begin < 40
        assert any("lost" in end and "no other worker" in end for end in ends)
        assert len(data) == 4


# ---------------------------------------------------------------------------------------------------------------------
# Interrupted drains


def test_scheduler_is_gone(tmp_path, log):
    with cluster(tmp_path) as running:
        (left,) = running.start("left")
        endless = running.client.submit(mark, log.path, "endless", 600)
        log.wait_for("endless")
        asked = left.ask(timeout=300)
        wait_until(lambda: "draining" in left.errors())
        begin = time.monotonic()
        running.scheduler.process.kill()
        output = asked.communicate(timeout=60)[0]
        assert left.process.wait(10) == 0
        assert time.monotonic() - begin < 15
        assert "the scheduler cannot be reached" in output.splitlines()[-1]
        assert endless.key in output.splitlines()[-1]
        assert output.splitlines()[-1] in left.errors()
        assert asked.returncode == 0


def test_scheduler_does_not_answer(tmp_path, log):
    with cluster(tmp_path) as running:
        (left,) = running.start("left")
        data = running.client.scatter(b"lost")
        running.scheduler.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        end = left.stop(timeout=4).splitlines()[-1]
        assert time.monotonic() - begin < 20
        assert "the scheduler did not answer" in end
        running.scheduler.process.send_signal(signal.SIGCONT)
        wait_until(lambda: data.status != "finished")


def replace_retirement(client, answers):
    """Let the scheduler raise these errors instead of retiring workers, or never answer for None, and then retire."""

    def replace(dask_scheduler):
        import asyncio

        retire = dask_scheduler.handlers["retire_workers"]

        async def answer(**options):
            if not answers:
                return await retire(**options)
            error = answers.pop(0)
            dask_scheduler.asked = True
            if error:
                raise error
            await asyncio.sleep(600)

        dask_scheduler.handlers["retire_workers"] = answer

    client.run_on_scheduler(replace)


def drain_without_deadline(client, address):
    def begin(dask_worker):
        from daskops_runtime import drain

        drain.RETRY = 0.1
        return drain.begin(dask_worker, None)

    assert client.run(begin, workers=[address]) == {address: None}


def test_drain_without_deadline_survives_failed_requests(tmp_path, log):
    with cluster(tmp_path) as running:
        (left, _) = running.start("left", "peer")
        data = running.scatter("left", b"only here")
        task = running.on("left", mark, log.path, "task", log.gate)
        log.wait_for("task")
        # The first one answers the copy of the data while the task runs, which may fail.
        replace_retirement(running.client, [OSError(), OSError(), ValueError("unexpected")])
        drain_without_deadline(running.client, running.address("left"))
        wait_until(lambda: running.client.run_on_scheduler(lambda dask_scheduler: hasattr(dask_scheduler, "asked")))
        log.open_gate()
        assert task.result(30) == "task" and log.runs() == {"task": 1}
        assert left.process.wait(30) == 0
        assert running.client.gather(data) == [b"only here"]
        assert "begins again" in left.errors() and "ValueError: unexpected" in left.errors()


def test_stop_during_a_request_without_deadline_leaves_in_time(tmp_path):
    with cluster(tmp_path) as running:
        (left, _) = running.start("left", "peer")
        data = running.scatter("left", b"only here")
        replace_retirement(running.client, [None])
        drain_without_deadline(running.client, running.address("left"))
        wait_until(lambda: running.client.run_on_scheduler(lambda dask_scheduler: hasattr(dask_scheduler, "asked")))
        end = left.stop(timeout=4).splitlines()[-1]
        assert "lost 1 key" in end and "the deadline was reached" in end
        wait_until(lambda: data[0].status != "finished")


def test_sigterm_while_draining(shared, log):
    (hurried,) = shared.start("hurried")
    running = shared.on("hurried", mark, log.path, "running", 3)
    log.wait_for("running")
    asked = hurried.ask(timeout=300)
    wait_until(lambda: "draining" in hurried.errors())
    hurried.process.terminate()
    output = asked.communicate(timeout=40)[0]
    assert hurried.process.wait(10) == 0
    assert "cut short" in output.splitlines()[-1]
    assert asked.returncode == 0
    running.cancel()


def test_sigterm_while_draining_kills_a_worker_that_does_not_close(shared, log):
    async def start_endless_coroutine(dask_worker):
        import asyncio

        async def go_on():
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    pass

        dask_worker.does_not_end = asyncio.create_task(go_on())

    (stuck,) = shared.start("stuck")
    shared.client.run(start_endless_coroutine, workers=[shared.address("stuck")])
    running = shared.on("stuck", mark, log.path, "running", 3)
    log.wait_for("running")
    asked = stuck.ask(timeout=300)
    wait_until(lambda: "draining" in stuck.errors())
    stuck.process.terminate()
    assert "cut short" in asked.communicate(timeout=40)[0].splitlines()[-1]
    assert stuck.process.wait(10) == 0
    assert "The worker did not close in time, so its process is ended" in stuck.errors()
    running.cancel()


def test_cancellation_at_the_same_time_as_the_answer_is_kept():
    draining = types.SimpleNamespace(limit=math.inf)

    async def ask():
        answer = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(drain.Drain.ask(draining, answer))
        await asyncio.sleep(0.1)
        answer.set_result("done")
        asking.cancel()
        await asyncio.wait({asking})
        return asking.cancelled()

    assert asyncio.run(ask())


def test_restart_by_a_client_while_draining(tmp_path, log):
    with cluster(tmp_path) as running:
        (old,) = running.start("old")
        future = running.client.submit(mark, log.path, "running", 1)
        log.wait_for("running")
        asked = old.ask(timeout=60)
        wait_until(lambda: "draining" in old.errors())
        running.client.restart(wait_for_workers=False)
        asked.communicate(timeout=40)
        assert asked.returncode == 0
        assert old.process.wait(10) == 0
        assert future.status == "cancelled"


@pytest.mark.parametrize("nanny", [False, True])
def test_starting_worker_has_nothing_to_drain(nanny):
    with unit(f"tcp://127.0.0.1:{free_port()}", "starting", nanny=nanny) as starting:
        if not nanny:  # a nanny connects to the scheduler before it starts its worker
            wait_until(starting.socket.exists)
        begin = time.monotonic()
        asked = starting.ask(timeout=300)
        assert "nothing to drain" in asked.communicate(timeout=30)[0]
        assert asked.returncode == 0
        assert time.monotonic() - begin < 20
