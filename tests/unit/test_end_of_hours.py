# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that end with their hours, without systemd's timer."""

import contextlib
import os
import time
import types

import pytest
from conftest import scheduler, wait_until, workers_of
from daskops_runtime import end_of_hours
from distributed.core import Status
from draining import Log, mark
from http_pages import get_json
from restarted_units import Unit
from unit_calendars import HoursFile


@pytest.mark.parametrize("nanny", [False, True])
def test_changed_hours_drain_a_worker_that_runs(tmp_path, nanny):
    """Running tasks finish, results move, and the worker returns with its hours."""
    file, log = HoursFile(tmp_path, begin=-1, end=5), Log(tmp_path)
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True))
        client = stack.enter_context(started.client())
        common = {"directory": tmp_path, "DASKOPS_SCALING": "", "DASKOPS_DRAIN_TIMEOUT": "30"}
        extra = ["--nanny", "--nanny-port", "0"] if nanny else []
        stack.enter_context(Unit(started.address, "stays", **common))
        desk = stack.enter_context(Unit(started.address, "desk", *extra, DASKOPS_HOURS=str(file.path), **common))
        client.wait_for_workers(2, timeout=40)

        def names():
            return {one["name"]: address for address, one in workers_of(client).items()}

        def variables():
            return [name for name in os.environ if name in ("DASKOPS_HOURS", "DASKOPS_STANDBY")]

        at_desk = {"workers": [names()["desk"]], "allow_other_workers": True, "pure": False}
        if not nanny:
            assert client.submit(variables, **at_desk).result(20) == []
        kept = client.scatter([b"kept"], workers=[names()["desk"]], hash=False)
        running = client.submit(mark, log.path, "running", 3.0, **at_desk)
        log.wait_for("running")
        file.write(begin=2, end=5)
        wait_until(lambda: set(names()) == {"stays"}, 40)
        assert (running.result(20), client.gather(kept)) == ("running", [b"kept"]) and log.runs() == {"running": 1}
        assert "is outside of its hours until" in desk.log.read_text() and "drained in" in desk.log.read_text()
        wait_until(lambda: get_json(started, "daskops/summary.json")["standby"], 20)
        file.write(begin=-1, end=5)
        client.wait_for_workers(2, timeout=40)


def test_drain_ends_before_the_hours(tmp_path):
    """In the last part of the hours, a drain has only the time that is left."""
    file, log = HoursFile(tmp_path, begin=-1, end=5), Log(tmp_path)
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True))
        client = stack.enter_context(started.client())
        desk = stack.enter_context(
            Unit(
                started.address,
                "desk",
                directory=tmp_path,
                DASKOPS_HOURS=str(file.path),
                DASKOPS_SCALING="",
                DASKOPS_DRAIN_TIMEOUT="90",
            )
        )
        client.wait_for_workers(1, timeout=40)
        left = 60 - time.time() % 60
        if left < 40:  # hours end with a minute
            time.sleep(left + 0.1)
        future = client.submit(mark, log.path, "endless", 600.0)
        log.wait_for("endless")
        end = (time.time() // 60 + 1) * 60
        clock = time.strftime("%H:%M", time.gmtime(end))
        file.write_text(
            f"{time.strftime('%a', time.gmtime(end - 7200))} {time.strftime('%H:%M', time.gmtime(end - 7200))}-{clock} UTC"
        )
        wait_until(lambda: not workers_of(client), 60)
        assert time.time() <= end + 1, time.time() - end
        future.cancel()
        assert "is outside of its hours" in desk.log.read_text()


def test_end_of_the_hours_limits_a_drain_without_a_deadline(tmp_path):
    """The scheduler can have started a drain that waits for all tasks."""
    file, log = HoursFile(tmp_path, begin=-1, end=5), Log(tmp_path)
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True))
        client = stack.enter_context(started.client())
        common = {"directory": tmp_path, "DASKOPS_SCALING": "", "DASKOPS_DRAIN_TIMEOUT": "14"}
        desk = stack.enter_context(Unit(started.address, "desk", DASKOPS_HOURS=str(file.path), **common))
        client.wait_for_workers(1, timeout=40)
        future = client.submit(mark, log.path, "endless", 600.0)
        log.wait_for("endless")

        def begin(dask_worker):
            from daskops_runtime import drain

            return drain.begin(dask_worker, None)

        assert list(client.run(begin).values()) == [None]
        file.write(begin=2, end=5)
        wait_until(lambda: not workers_of(client), 40)
        wait_until(lambda: "gave up 1 task still running" in desk.log.read_text(), 10)
        future.cancel()
        text = desk.log.read_text()
        assert text.count("so its drain has only 14 s") == 1 and "so it drains" not in text


def test_unexpected_error_does_not_end_the_looks():
    class Fails:
        problem = ""

        def look_while_running(self):
            raise MemoryError

    asked = []
    loop = types.SimpleNamespace(call_later=lambda *call: asked.append(call))
    worker, hours = types.SimpleNamespace(status=Status.running, loop=loop), Fails()
    with pytest.raises(MemoryError):
        end_of_hours.look(worker, hours)
    worker.status = Status.init
    end_of_hours.look(worker, hours)
    assert asked == [(seconds, end_of_hours.look, worker, hours) for seconds in (10.0, 1.0)]


def test_task_that_opens_all_files_does_not_drain_its_worker(tmp_path):
    """Neither with hours nor without."""

    def use_all_file_descriptors(seconds):
        """Open files until this is not possible any more, keep them open for some time, and return the error."""
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        files = []
        try:
            while True:
                files.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as e:
            time.sleep(seconds)
            return e.strerror
        finally:
            for file in files:
                os.close(file)

    file = HoursFile(tmp_path, begin=-1, end=5)
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True))
        client = stack.enter_context(started.client())
        common = {"directory": tmp_path, "DASKOPS_SCALING": "", "DASKOPS_DRAIN_TIMEOUT": "30"}
        paths = {"with": file.path, "without": tmp_path / "missing.json"}
        units = {
            name: stack.enter_context(Unit(started.address, name, DASKOPS_HOURS=str(path), **common))
            for name, path in paths.items()
        }
        client.wait_for_workers(2, timeout=40)
        time.sleep(2)  # the first look at the hours
        before = set(workers_of(client))
        running = [
            client.submit(use_all_file_descriptors, 12, workers=[name], allow_other_workers=False, key=name)
            for name in paths
        ]
        assert client.gather(running) == ["Too many open files"] * 2
        assert set(workers_of(client)) == before
        logs = {name: unit.log.read_text() for name, unit in units.items()}
        assert "The last valid hours of the worker continue to apply" in logs["with"]
        assert "continue to apply" not in logs["without"]
        assert not [text for text in logs.values() if "so it drains" in text]
