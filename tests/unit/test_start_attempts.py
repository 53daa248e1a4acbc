# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts to start services with their settings, each in a separate process."""

import contextlib
import copy
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dask
import distributed  # noqa: F401  (its defaults)
import psutil
import pytest
from daskops_runtime import start_attempts
from daskops_runtime.start_attempts import attempt, find_problems, without

DEFAULTS = {"distributed": dask.config.get("distributed"), **{"temporary-directory": None, "scheduler-address": None}}


def fail_with_cause():
    try:
        raise FileNotFoundError(2, "No such file or directory", "/nowhere")
    except OSError as error:
        raise RuntimeError("it failed") from error


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, None),
        (lambda: os.write(1, b"dropped") and os.write(2, b"dropped"), None),
        (lambda: int("x"), "ValueError: invalid literal for int() with base 10: 'x'"),
        (fail_with_cause, "[Errno 2] No such file or directory: '/nowhere'"),
        (lambda: os._exit(0), "the process ended"),
        (lambda: dask.config.set({"a": 1}), None),
    ],
)
def test_attempt_returns_its_error_and_changes_nothing_here(function, reason, capfd):
    assert attempt(function, {}) == reason
    assert dask.config.get("a", None) is None and dask.config.get("distributed", None)
    assert capfd.readouterr() == ("", "")


def test_attempt_has_a_time_limit(monkeypatch):
    monkeypatch.setattr(start_attempts, "TIMEOUT", 0.5)
    started = time.monotonic()
    assert attempt(time.sleep, {}, 60) == start_attempts.LATE
    assert time.monotonic() - started < 20


def test_keys_return_to_their_defaults():
    config = {"a": {"b": 1, "c": 2}, "d": 3}
    assert without(config, [("a", "b"), ("d",), ("no", "such")], {"a": {"b": 0}}) == {"a": {"b": 0, "c": 2}}
    assert config == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, ""),
        ({"comm": {"retry": {"count": 3}}}, ""),
        ({"comm": {"compression": "no-such"}}, "dask_config: distributed.comm.compression: messages do not reach"),
        ({"comm": {"socket-backlog": "many"}}, "dask_config: distributed.comm.socket-backlog: messages do not reach"),
        ({"comm": {"timeouts": {"tcp": "long"}}}, "dask_config: distributed.comm.timeouts.tcp: messages do not reach"),
        ({"logging": {"distributed": "loud"}}, "cannot set up its log"),
    ],
)
def test_setting_that_stops_a_worker_is_named(setting, said):
    tree = {"distributed": setting}
    config = dask.config.merge(copy.deepcopy(dask.config.config), tree)
    found = list(find_problems("worker", config, {"dask_config": tree}, DEFAULTS, []))
    if said:
        (problem,) = found
        assert said in problem and problem.endswith("Correct or remove it.")
    else:
        assert found == []


def listening(earlier):
    """Return the ports on which children of this process accept connections, but for ``earlier`` ones."""
    ports = set()
    for child in set(psutil.Process().children()) - earlier:
        with contextlib.suppress(psutil.Error):
            ports |= {one.laddr.port for one in child.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    return ports


def answers(port):
    """Return whether a scheduler or a worker begins to talk to a new connection. HTTP servers wait for a request."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5) as sock:
            sock.settimeout(0.5)
            return bool(sock.recv(1))
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["scheduler", "worker"])
def test_attempts_accept_no_connection_of_other_users(kind):
    """Whoever connects to a scheduler or a worker without certificates can run code there."""
    over, earlier = threading.Event(), set(psutil.Process().children())

    def try_to_connect():
        ports = {}
        while not over.wait(0.001):
            for port in listening(earlier) - ports.keys():
                ports[port] = pool.submit(answers, port)
        return [port for port, answered in ports.items() if answered.result()]

    tree = {"distributed": {"comm": {"retry": {"count": 3}}}}
    config = dask.config.merge(copy.deepcopy(dask.config.config), tree)
    with ThreadPoolExecutor(16) as pool:
        trying = pool.submit(try_to_connect)
        assert list(find_problems(kind, config, {"dask_config": tree}, DEFAULTS, [])) == []
        over.set()
        assert trying.result() == []


def test_nothing_is_tried_without_settings_of_the_user(monkeypatch):
    """The only settings are those of the collection and Dask's defaults."""
    monkeypatch.setattr(start_attempts, "attempt", lambda *arguments: pytest.fail("an attempt"))
    tree = {"distributed": {"comm": {"compression": "no-such"}}}
    config = dask.config.merge(copy.deepcopy(dask.config.config), tree)
    for settings in ({}, {"dask_config": {}}, {"dask_config": {"distributed": DEFAULTS["distributed"]}}):
        assert list(find_problems("worker", config, settings, DEFAULTS, [])) == []
    with pytest.raises(pytest.fail.Exception):
        list(find_problems("worker", config, {"dask_config": tree}, DEFAULTS, []))
