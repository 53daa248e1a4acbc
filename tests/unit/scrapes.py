# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrapes of the metrics of real services, and the names of metrics in expressions. Defines fixtures."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import ssl
import tempfile
import urllib.request
from pathlib import Path

import pytest
from certificate_directories import make
from conftest import free_port, scheduler, wait_until, worker
from daskops_runtime import metrics
from distributed import Client
from prometheus_client.parser import text_string_to_metric_families


def families(port, ca=None):
    """Return the metrics in a scrape. ``ca`` is the CA's certificate for a service with TLS."""
    context = ssl.create_default_context(cafile=ca) if ca else None
    url = f"https://localhost:{port}/metrics" if ca else f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        return list(text_string_to_metric_families(response.read().decode()))


def scrape(port, ca=None):
    """Return the values in a scrape by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families(port, ca)
        for sample in family.samples
    }


def names_in(expression):
    """Return the names of metrics in an expression of Prometheus, without the one that Prometheus itself makes."""
    without_labels = re.sub(r"\{[^}]*\}", "", expression)
    return set(re.findall(r"\b(?:dask|daskops|process|node)_\w+", without_labels))


def point(home, link, release):
    """Make a link of a host lead to one of its releases."""
    (home / "new").symlink_to(f"releases/{release}")
    os.replace(home / "new", home / link)


def variables(home, directory, release, **more):
    """Return the variables of the environment of a unit's service."""
    config = {"DASK_CONFIG": str(home / "current/any/dask_configuration.yaml")}
    counted = {"DASKOPS_RESTARTS": "2 1"}  # from launch.py
    return {**config, "RUNTIME_DIRECTORY": str(home / directory), "DASKOPS_RELEASE": release, **counted, **more}


@contextlib.contextmanager
def host():
    """Make the directory of a host with two releases, of which ``one`` is the current one, and runtime directories."""
    directory = Path(tempfile.mkdtemp())  # pytest's directories are too long for a Unix socket
    for name in ("one", "two"):
        (directory / f"releases/{name}").mkdir(parents=True)
        by_unit = {"dask-scheduler.service": f"{name}.s", "dask-worker@fast-1.service": f"{name}.w"}
        services = {unit: {"release": release} for unit, release in by_unit.items()}
        (directory / f"releases/{name}/manifest.json").write_text(json.dumps({"services": services}))
    (directory / "releases/without").mkdir()  # no service is planned there any more
    for name in metrics.LINKS:
        point(directory, name, "one")
    for name in ("dask-scheduler", "dask-worker-fast-1"):
        (directory / name).mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def worker_of(started, home, **options):
    """Run a worker of a host, and yield the port of its metrics and its process."""
    port = free_port()
    about = variables(home, "dask-worker-fast-1", "one.w", DASKOPS_RELEASE_LABEL="v1", DASKOPS_ERROR_MONITOR="1")
    with worker(started, "w1", "--dashboard-address", f"127.0.0.1:{port}", runtime=True, **options, **about) as process:
        yield port, process


@pytest.fixture(scope="session")
def scraped(tmp_path_factory):
    """Return the names of all metrics of a scheduler and a worker with TLS, a release and a failed task."""
    # Other modules define these, and import this one.
    from test_certificates import install, security, settings

    directory = tmp_path_factory.mktemp("scraped")
    made, where, ca = directory / "tls", directory / "installed", str(directory / "tls/ca.pem")
    make(made)
    install(made, where)
    with host() as home, contextlib.ExitStack() as stack:
        of_scheduler = variables(home, "dask-scheduler", "one.s")
        started = stack.enter_context(
            scheduler(directory, runtime=True, settings=settings(where, "scheduler"), **of_scheduler)
        )
        port, _ = stack.enter_context(worker_of(started, home, settings=settings(where, "worker")))
        with Client(started.address, security=security(made), set_as_default=False, timeout=20) as client:
            client.wait_for_workers(1, timeout=30)
            with pytest.raises(ZeroDivisionError):
                client.submit(divmod, 1, 0).result(timeout=30)
            found = families(started.port, ca) + wait_until(lambda: families(port, ca))
    # A metric of workers on standby has no values here.
    empty = {family.name for family in found if not family.samples}
    return empty | {sample.name for family in found for sample in family.samples}
