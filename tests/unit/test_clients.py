# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients that a scheduler has work of, as its control socket reports them."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from conftest import scheduler, wait_until, worker
from distributed import Client
from http_pages import get_text
from recorded import health


@pytest.fixture
def working(tmp_path):
    """Return a scheduler with a runtime directory, its client named alice, and the path of its control socket."""
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True, RUNTIME_DIRECTORY=str(tmp_path)))
        stack.enter_context(worker(started, "w1", runtime=True))
        client = stack.enter_context(Client(started.address, name="alice", set_as_default=False, timeout=20))
        client.wait_for_workers(1, 20)
        yield started, client, str(tmp_path / "control.sock")


def test_pending_scheduler_names_clients_with_work(working):
    started, client, control_socket = working
    pending = {"scheduler_pending": True, "control_socket": control_socket}
    (said,) = health(started.url, **pending)["problems"]
    assert "The scheduler is pending" in said and "It has no work now. Run site.yml again" in said

    data = client.scatter(bytes(3 * 2**20), hash=False)
    with started.client() as other:
        running = [client.submit(time.sleep, 60, pure=False) for _ in range(3)]
        waiting = other.submit(sum, [1, 2], resources={"NONE": 1})
        result = wait_until(lambda: sum((said := health(started.url, **pending))["tasks"].values()) == 5 and said)
        (said,) = result["problems"]
        assert re.search(r"It has 5 task\(s\) \(1 memory, 1 no-worker, \d", said), said
        address = r"tcp://127\.0\.0\.1:\d+"
        assert re.search(rf"belong to alice at {address} \([^)]*1 result\(s\) of 3\.0 MiB\)", said), said
        assert re.search(rf"a client at {address} \(1 no-worker\)", said), said
        assert [one["wanted"] for one in result["clients"]] == [4, 1] and not result["idle"]
        # The pages must not show names and addresses of clients.
        page = get_text(f"{started.url}/daskops/summary.json")
        assert "alice" not in page and client.id not in page
        # Without a usable control socket, only the counts are reported.
        for path in (None, "/nowhere", "/dev/null"):
            (said,) = health(started.url, scheduler_pending=True, control_socket=path)["problems"]
            assert "5 task(s)" in said and "2 client(s) are connected" in said
        waiting.release()
        del waiting
    client.cancel(running)
    del data
