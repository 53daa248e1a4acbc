# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data about services from systemd and Linux, of which the services control a part."""

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import units
from ansible_collections.daskops.cluster.plugins.module_utils.units import shown_services, unit_files

BLOCK = "Id={id}\nMainPID={pid}\nActiveState=active\nStatusText={status}\n"


class Module:
    """A stand-in for AnsibleModule with a fixed output of systemctl."""

    def __init__(self, output):
        self.output = output

    def run_command(self, command):
        assert command[:2] == ["systemctl", "show"]
        return 0, self.output, ""


# str.splitlines() splits at these characters, systemd does not.
@pytest.mark.parametrize("end", ["\r", "\f", "\v", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("text", ["", "MainPID=1", "Id=dask-worker@2.service", "no property", "="])
def test_status_text_stays_one_property(end, text):
    status = f"Worker{end}{text}{end}{end}{text}"
    blocks = [
        BLOCK.format(id="dask-scheduler.service", pid=10, status="Scheduler"),
        BLOCK.format(id="dask-worker@1.service", pid=11, status=status),
        BLOCK.format(id="dask-worker@other.service", pid=12, status="not the collection's"),
    ]
    shown = shown_services(Module("\n".join(blocks)))
    assert sorted(shown) == ["dask-scheduler.service", "dask-worker@1.service"]
    worker = shown["dask-worker@1.service"]
    assert (worker["MainPID"], worker["ActiveState"], worker["StatusText"]) == ("11", "active", status)


def test_missing_property_is_empty():
    shown = shown_services(Module("Id=dask-worker@1.service\nMainPID=1\n"))
    assert shown["dask-worker@1.service"] == {
        "Id": "dask-worker@1.service",
        "MainPID": "1",
        "ActiveState": "",
        "StatusText": "",
    }
    assert shown_services(Module("")) == {}


def test_unit_file_in_another_encoding_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(units, "SYSTEMD", str(tmp_path))
    (tmp_path / "dask-scheduler.service").write_bytes("[Unit]\nDescription=café\n".encode("latin-1"))
    assert unit_files("scheduler")["dask-scheduler.service"].startswith("[Unit]\nDescription=caf")
    (tmp_path / "dask-scheduler.service").unlink()
    (tmp_path / "dask-scheduler.service").mkdir()
    assert unit_files("scheduler") == {"dask-scheduler.service": ""}
