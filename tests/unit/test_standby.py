# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that waits instead of a worker, its answers from schedulers and other servers, and its certificate."""

import contextlib
import hashlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone

import msgpack
import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.health import Expected, judge
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import from_summary
from certificate_directories import WORKERS
from conftest import STOCK_ROUTES, environment, free_port, scheduler, wait_until, workers_of
from daskops_runtime import scaling, standby, unit_hours
from distributed import Client
from distributed.security import Security
from http_pages import get_json
from restarted_units import Unit
from unit_calendars import HoursFile


@contextlib.contextmanager
def server(*messages):
    """Run a server that sends these messages to a client that connects, and then closes. Yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                connected, dummy = listener.accept()
                with connected:
                    connected.settimeout(5)
                    for message in messages:
                        connected.sendall(message)
                    while connected.recv(1000):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def frame(value):
    content = msgpack.packb(value)
    return struct.pack("QQQ", 16 + len(content), 1, len(content)) + content


HANDSHAKE = frame({"compression": None, "python": [3, 11, 2], "pickle-protocol": 5})
NO = frame({"wanted": False, "again": 3})


def is_wanted(address):
    asked = standby.Standby(address, "w1", "")
    try:
        return asked.is_wanted()
    finally:
        asked.close()


@pytest.mark.parametrize(
    "messages",
    [
        [HANDSHAKE, frame(None)],
        [HANDSHAKE, frame({"status": "uncaught-error", "text": "no such command"})],
        [HANDSHAKE, frame({"wanted": "no"})],
        [HANDSHAKE, frame({"wanted": 0})],
        [HANDSHAKE, frame([1, 2])],
        [HANDSHAKE, struct.pack("QQQ", 17, 1, 1) + b"\xc1"],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100],
        [struct.pack("Q", 2**63)],
        [struct.pack("QQQ", 16, 2**60, 1)],
        [struct.pack("Q", 0)],
        [HANDSHAKE, struct.pack("QQQ", 16, 1, 2**62)],
        [b"\xff" * 1000],
    ],
)
def test_worker_starts_after_an_answer_that_is_not_no(messages):
    with server(*messages) as address:
        assert is_wanted(address) is True


def test_answer_no_is_understood_and_limits_the_questions():
    with server(HANDSHAKE, NO) as address:
        asked = standby.Standby(address, "w1", "")
        assert asked.is_wanted() is False and asked.again == 3
        asked.close()
    for again, found in [(0, 1), (1e9, 60), ("x", 1), (float("nan"), 1), (-5, 1)]:
        with server(HANDSHAKE, frame({"wanted": False, "again": again})) as address:
            asked = standby.Standby(address, "w1", "")
            assert asked.is_wanted() is False and asked.again == found
            asked.close()


@pytest.mark.parametrize("address", ["ucx://10.0.0.1:8786", "tcp://", "nonsense", "tcp://127.0.0.1:99999", ""])
def test_address_that_cannot_be_asked_starts_the_worker(address, monkeypatch):
    monkeypatch.setattr(standby, "TIMEOUT", 0.2)
    standby.wait_until_wanted(address, ["distributed.cli.dask_worker", address, "--name", "w1"])


def test_closed_port_starts_the_worker_and_silence_does_not_hold_it_for_long(monkeypatch):
    monkeypatch.setattr(standby, "TIMEOUT", 0.3)
    with server() as address:
        with pytest.raises(OSError, match="timed out"):
            is_wanted(address)
    with pytest.raises(OSError, match="refused"):
        is_wanted("tcp://127.0.0.1:1")
    standby.wait_until_wanted("tcp://127.0.0.1:1", [])


def test_name_in_the_command_line():
    assert standby.worker_name(["dask", "cuda", "worker", "tls://s:1", "--name", "g-1", "--nthreads", "1"]) == "g-1"
    assert standby.worker_name(["dask", "--name"]) == ""


def test_scheduler_without_the_command_gets_its_worker(tmp_path):
    with scheduler(tmp_path, settings={"scheduler.http.routes": STOCK_ROUTES}) as started, started.client() as client:
        assert is_wanted(started.address) is True
        with Unit(started.address, "w1", directory=tmp_path):
            client.wait_for_workers(1, timeout=40)


def tls(directory, role):
    pem = str(directory / f"{role}.pem")
    return {
        "comm.require-encryption": True,
        "comm.default-scheme": "tls",
        "comm.tls.ca-file": str(directory / "ca.pem"),
        f"comm.tls.{role}": {"cert": pem, "key": pem},
    }


@pytest.fixture
def files(made, tmp_path):
    """Return a directory with certificates and keys in the form of a host's ``tls`` directory."""
    directory = tmp_path / "tls"
    directory.mkdir()
    (directory / "ca.pem").write_text((made / "ca.pem").read_text())
    names = {"scheduler": "scheduler", "worker": WORKERS[0]}
    for role, name in names.items():
        (directory / f"{role}.pem").write_text((made / f"{name}.pem").read_text() + (made / f"{name}.key").read_text())
    return directory


def test_certificates(made, files, tmp_path):
    """A scheduler with TLS answers only programs with a certificate, and a unit on standby uses new files after a reload."""
    with contextlib.ExitStack() as stack:
        settings = {**tls(files, "scheduler"), "adaptive.interval": "200ms"}
        started = stack.enter_context(scheduler(tmp_path, "--protocol", "tls", runtime=True, settings=settings))
        paths = {"tls_client_cert": str(made / "client.pem"), "tls_client_key": str(made / "client.key")}
        trusted = Security(require_encryption=True, tls_ca_file=str(files / "ca.pem"), **paths)
        client = stack.enter_context(Client(started.address, security=trusted, set_as_default=False))
        unit = stack.enter_context(
            Unit(
                started.address,
                "w1",
                directory=tmp_path,
                settings=tls(files, "worker"),
                DASKOPS_STANDBY_TLS=str(files),
                WATCHDOG_USEC="1500000",
            )
        )
        client.wait_for_workers(1, timeout=40)
        client.sync(client.scheduler.daskops_scale, n=0)
        wait_until(lambda: client.sync(client.scheduler.daskops_scaling)["pools"]["default"]["standby"], 40)

        # Without a certificate, nobody can ask or scale.
        anonymous = ssl.create_default_context(cafile=str(files / "ca.pem"))
        anonymous.check_hostname = False
        with pytest.raises(OSError):  # noqa: PT011 - the message depends on the version of OpenSSL
            standby.Connection(started.address, anonymous, 5).ask({"op": "daskops_scale", "n": None})
        with pytest.raises(OSError):  # noqa: PT011
            is_wanted(started.address.replace("tls://", "tcp://"))
        assert client.sync(client.scheduler.daskops_scaling)["pools"]["default"]["standby"] == ("w1",)

        def status():
            text = (files / "ca.pem").read_text() + (files / "worker.pem").read_text()
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            return f"STATUS=On standby: {started.address} does not need w1, certificates {digest}"

        unit.notify.wait_for(status())
        pid = unit.process.pid
        (files / "worker.pem").write_text((files / "worker.pem").read_text() + "\n")
        os.kill(pid, signal.SIGHUP)
        unit.notify.wait_for(status())
        assert unit.notifies("WATCHDOG=1") and unit.process.pid == pid
        client.sync(client.scheduler.daskops_scale, n=1)
        client.wait_for_workers(1, timeout=40)


def waiting(started):
    return [
        {key: worker[key] for key in ("name", "host", "release", "outside")}
        for worker in get_json(started, "daskops/summary.json")["standby"]
    ]


def starting(started):
    return [one["name"] for one in get_json(started, "daskops/summary.json")["standby"] if one["starting"]]


@pytest.mark.parametrize("scaling", [False, True])
def test_worker_within_its_hours_again_is_starting(tmp_path, scaling):
    file = HoursFile(tmp_path, begin=3, end=5)
    with scheduler(tmp_path, runtime=True) as started:
        outside = standby.Standby(started.address, "w1", "", unit_hours.UnitHours(str(file.path)), scaling)
        assert outside.is_outside() and [one["outside"] for one in waiting(started)] == [f"until {file.begins}"]
        outside.close()
        command = [sys.executable, "-c", ASK, started.address]
        variables = {"DASKOPS_HOURS": str(file.path), "DASKOPS_SCALING": "manual" if scaling else ""}
        file.write(begin=-1, end=5)
        subprocess.run(command, env=environment({}, variables), check=True, timeout=20)
        assert starting(started) == ["w1"] and [one["outside"] for one in waiting(started)] == [None]


ASK = "import sys; from daskops_runtime.standby import *; wait_until_wanted(sys.argv[1], ['--name', 'w1'])"


@pytest.mark.parametrize("scaling", ["", "manual"])
def test_worker_outside_of_its_hours_waits_and_is_present(tmp_path, scaling):
    file = HoursFile(tmp_path, begin=3, end=5)
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True, settings={"adaptive.interval": "200ms"}))
        client = stack.enter_context(started.client())
        common = {"directory": tmp_path, "DASKOPS_HOURS": str(file.path), "DASKOPS_SCALING": scaling}
        until = f"until {file.begins}"
        unit = stack.enter_context(Unit(started.address, "w1", WATCHDOG_USEC="1500000", **common))
        unit.notify.wait_for(f"STATUS=Outside of its hours {until}")
        wait_until(lambda: waiting(started))
        assert waiting(started) == [{"name": "w1", "host": "127.0.0.1", "release": "shared.w1", "outside": until}]
        assert unit.notifies("READY=1") and unit.notifies("WATCHDOG=1") and unit.memory() < 30e6
        report = from_summary(get_json(started, "daskops/summary.json"))
        result = judge(report, Expected({"w1": "shared.w1"}))
        assert (result["verdict"], result["standby"], result["outside_hours"]) == ("healthy", [], {"w1": until})

        # The worker never starts for a request, a crash or a stop and a start of the unit.
        os.kill(unit.process.pid, signal.SIGKILL)
        wait_until(lambda: len(unit.codes) == 1 and unit.process.poll() is None)
        unit.notify.wait_for("READY=1", more_than=1)
        assert not workers_of(client)
        file.write(begin=-1, end=5)
        wait_until(lambda: len(unit.codes) == 2)  # its unit starts again, and tells the scheduler
        wait_until(lambda: workers_of(client) or starting(started) == ["w1"], 40)
        client.wait_for_workers(1, timeout=40)
        wait_until(lambda: not waiting(started))
        assert "outside of its hours" in unit.log.read_text() and unit.codes == [-signal.SIGKILL, 0]


def test_request_does_not_start_a_worker_outside_of_its_hours(tmp_path):
    """The worker counts neither for a request nor for the minimum, and another one starts in its place."""
    file = HoursFile(tmp_path, begin=-1, end=5)
    with contextlib.ExitStack() as stack:
        settings = {"adaptive.interval": "200ms", "adaptive.wait-count": 2}
        started = stack.enter_context(scheduler(tmp_path, runtime=True, settings=settings))
        client = stack.enter_context(started.client())
        common = {"directory": tmp_path, "DASKOPS_SCALING": "adaptive", "DASKOPS_POOL_MINIMUM": "1"}
        stack.enter_context(Unit(started.address, "w1", DASKOPS_HOURS=str(file.path), **common))
        client.wait_for_workers(1, timeout=40)
        stack.enter_context(Unit(started.address, "w2", **common))

        def state():
            return client.sync(client.scheduler.daskops_scaling)["pools"].get("default", {})

        def names():
            return {worker["name"] for worker in workers_of(client).values()}

        wait_until(lambda: "w1" in state().get("workers", ()) and len(state()["standby"]) == 1, 40)
        file.write(begin=2, end=5)
        wait_until(lambda: state()["outside_hours"] == ("w1",), 60)
        wait_until(lambda: names() == {"w2"}, 40)
        assert (state()["wanted"], state()["standby"]) == (("w2",), ())
        client.sync(client.scheduler.daskops_scale, n=2)
        time.sleep(3)
        assert names() == {"w2"} and state()["outside_hours"] == ("w1",)
        file.write(begin=-1, end=5)
        client.wait_for_workers(2, timeout=40)


def test_worker_outside_of_its_hours_stays_off_without_a_scheduler(tmp_path):
    file, port = HoursFile(tmp_path, begin=3, end=5), free_port()
    common = {"directory": tmp_path, "DASKOPS_HOURS": str(file.path)}
    with Unit(f"tcp://127.0.0.1:{port}", "w1", **common) as unit:
        unit.notify.wait_for("READY=1")
        with scheduler(tmp_path, "--port", str(port), runtime=True) as started:
            wait_until(lambda: waiting(started), 40)
            assert unit.codes == [] and waiting(started)[0]["name"] == "w1"
    # A scheduler without the command does not let the worker start either.
    other = tmp_path / "other"
    other.mkdir()
    with scheduler(other, settings={"scheduler.http.routes": STOCK_ROUTES}) as started, started.client() as client:
        with Unit(started.address, "w1", **common) as unit:
            unit.notify.wait_for("READY=1")
            time.sleep(2)
            assert unit.codes == [] and not workers_of(client)


def test_begin_of_the_hours_leaves_the_restart_to_the_timer_first(tmp_path, monkeypatch):
    path = tmp_path / "hours.json"
    path.write_text('{"hours": "Mon 19:00-21:00 UTC"}')
    begin = datetime(2026, 11, 30, 19, tzinfo=timezone.utc).timestamp()
    asked = standby.Standby("tcp://127.0.0.1:1", "w1", "", unit_hours.UnitHours(str(path)), scaled=False)

    def outside(seconds):
        monkeypatch.setattr(time, "time", lambda: begin + seconds)
        return asked.is_outside()

    assert not outside(1)  # a unit that starts then has nothing to wait for
    assert outside(-1) and asked.outside == "until Mon 19:00 UTC"
    assert outside(0) and outside(standby.TIMER - 0.1)
    assert not outside(standby.TIMER + 0.1) and asked.outside == ""
    # The host was suspended, or its clock was set.
    assert outside(-1) and not outside(600)
    assert outside(7200 - 300) and outside(7200)


def test_one_host_cannot_fill_the_list_of_workers_outside_of_their_hours(tmp_path):
    with scheduler(tmp_path, runtime=True) as started:
        connection = standby.Connection(started.address, None, 5)
        for number in range(scaling.UNITS + 20):
            message = {"name": f"w{number}", "outside": "until Mon 19:00", "release": "x" * 300}
            assert connection.ask({"op": "daskops_standby", **message})["wanted"] is False
        connection.close()
        assert len(waiting(started)) == scaling.UNITS and waiting(started)[0]["release"] is None


def test_scheduler_without_the_command_is_asked_seldom(tmp_path):
    """It logs an error with a traceback for each question."""
    hours = unit_hours.UnitHours(str(HoursFile(tmp_path, begin=3, end=5).path))
    with scheduler(tmp_path) as started:
        asked = standby.Standby(started.address, "w1", "", hours, False)
        assert asked.is_outside() and asked.again == standby.LONGEST
    assert asked.is_outside() and asked.again == standby.RETRY


@pytest.mark.parametrize(
    "message",
    [
        {"name": "x" * 301, "outside": "until Mon 19:00"},
        {"name": 5, "outside": "until Mon 19:00"},
        {"name": "w1", "outside": "until\nMon"},
        {"name": "w1", "outside": ["until"]},
        {"name": "w1", "outside": "x" * 201},
    ],
)
def test_scheduler_ignores_invalid_messages_about_hours(tmp_path, message):
    with scheduler(tmp_path, runtime=True) as started:
        connection = standby.Connection(started.address, None, 5)
        assert connection.ask({"op": "daskops_standby", **message}) == {"wanted": True}
        connection.close()
        assert waiting(started) == []
