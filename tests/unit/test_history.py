# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a host's releases, with damaged files, concurrent processes and interrupted runs."""

import errno
import json
import os
import shutil
import threading

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import history as history_module
from ansible_collections.daskops.cluster.plugins.module_utils.history import (
    Entry,
    History,
    Switch,
    forget_removed,
    link_staged,
    note_change,
    note_switch,
    note_use,
    read_history,
    take_over_history,
    update_history,
)
from killed import killed_at


@pytest.fixture
def home(tmp_path):
    """Return a host's directory with the releases a and b; a is current."""
    take_over_history(str(tmp_path))
    for name in "ab":
        (tmp_path / "releases" / name).mkdir(parents=True)
    note_change(str(tmp_path), "a", 1)
    (tmp_path / "current").symlink_to(tmp_path / "releases/a")
    note_change(str(tmp_path), "b", 2)
    return tmp_path


def activate(home, name):
    (home / "current").unlink()
    (home / "current").symlink_to(home / "releases" / name)


def test_host_without_releases_has_no_history(tmp_path):
    assert read_history(str(tmp_path)) == History()


def test_file_is_json_for_root_only(home):
    note_switch(str(home), "b", "a")
    path = home / "history.json"
    assert json.loads(path.read_text()) == {
        "releases": {
            "a": {"staged": 1, "previous": "", "served": {}, "tried": {}},
            "b": {"staged": 2, "previous": "", "served": {}, "tried": {}},
        },
        "switch": {"release": "b", "previous": "a"},
    }
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_uid == os.geteuid()
    assert sorted(os.listdir(home)) == ["current", "history.json", "releases"]


def test_link_leads_to_the_staged_release(home):
    for name in ("b", "b", "a"):
        link_staged(str(home), name)
        assert (home / "staged").resolve() == home / "releases" / name
    assert sorted(os.listdir(home)) == ["current", "history.json", "releases", "staged"]


def test_switch_is_recorded_when_the_release_is_current(home):
    note_switch(str(home), "b", "a")
    assert read_history(str(home)).releases["b"].previous == ""
    activate(home, "b")
    assert read_history(str(home)) == History({"a": Entry(1), "b": Entry(2, "a")})
    note_use(str(home), "b", "worker", "served")
    assert json.loads((home / "history.json").read_text())["switch"] is None
    assert read_history(str(home)).releases["b"].previous == "a"


def test_revert_keeps_the_previous_release(home):
    note_switch(str(home), "b", "a")
    activate(home, "b")
    note_switch(str(home), "a", "")
    activate(home, "a")
    assert read_history(str(home)) == History({"a": Entry(1), "b": Entry(2, "a")})


def test_next_switch_replaces_an_abandoned_one(home):
    note_switch(str(home), "b", "a")
    note_switch(str(home), "b", "")
    activate(home, "b")
    assert read_history(str(home)).releases["b"].previous == ""


@pytest.mark.parametrize("use", ["served", "tried"])
def test_first_use_is_kept(home, use, monkeypatch):
    for now in (100.7, 200.0):
        monkeypatch.setattr(history_module.time, "time", lambda now=now: now)
        note_use(str(home), "a", "worker", use)
    assert getattr(read_history(str(home)).releases["a"], use) == {"worker": 100}


def test_unchanged_history_is_not_written(home):
    before = (home / "history.json").stat()
    note_change(str(home), "b", 3)  # b belongs to an interrupted change
    take_over_history(str(home))
    after = (home / "history.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_removed_releases_are_dropped_by_forget_removed_only(home):
    shutil.rmtree(home / "releases/b")
    note_use(str(home), "a", "worker", "served")
    assert list(read_history(str(home)).releases) == ["a", "b"]  # another process may be about to stage b again
    forget_removed(str(home))
    assert list(read_history(str(home)).releases) == ["a"]


SOUND = {"releases": {"a": {"staged": 1, "previous": "", "served": {}, "tried": {}}}, "switch": None}


def with_entry(**changes):
    return {**SOUND, "releases": {"a": {**SOUND["releases"]["a"], **changes}}}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0" * 100,
        "[]",
        "null",
        "[" * 100_000,
        "{}",
        json.dumps(SOUND)[:-5],
        json.dumps({**SOUND, "releases": ["a"]}),
        json.dumps({**SOUND, "releases": {"a": 1}}),
        json.dumps({**SOUND, "switch": "b"}),
        json.dumps({**SOUND, "switch": {"release": "b"}}),
        json.dumps(with_entry(staged="1")),
        json.dumps(with_entry(staged=True)),
        json.dumps(with_entry(staged=-1)),
        json.dumps(with_entry(staged=1e300)),
        json.dumps(with_entry(previous=None)),
        json.dumps(with_entry(served=["worker"])),
        json.dumps(with_entry(tried={"worker": "now"})),
        json.dumps(SOUND) + " " * history_module.LIMIT,
    ],
)
def test_damaged_file_counts_as_empty_and_is_replaced(home, content):
    (home / "history.json").write_text(content)
    assert read_history(str(home)) == History()
    note_change(str(home), "b", 4)
    assert read_history(str(home)) == History({"b": Entry(4)})


def test_valid_file_is_read(home):
    (home / "history.json").write_text(json.dumps(SOUND))
    assert read_history(str(home)) == History({"a": Entry(1)})


def test_concurrent_updates_are_all_kept(home):
    """Each thread adds its own kinds."""

    def add(which):
        for number in range(50):
            note_use(str(home), "a", f"{which}-{number}", "served")

    threads = [threading.Thread(target=add, args=[which]) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_history(str(home)).releases["a"].served) == 200
    assert sorted(os.listdir(home)) == ["current", "history.json", "releases"]


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_full_disk_keeps_the_old_file(home, monkeypatch, function):
    before = (home / "history.json").read_text()

    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, function, refuse)
        with pytest.raises(OSError, match="No space left"):
            note_use(str(home), "b", "worker", "served")
    assert (home / "history.json").read_text() == before
    assert sorted(os.listdir(home)) == ["current", "history.json", "releases"]


def test_directory_in_place_of_the_file_is_an_error(home):
    (home / "history.json.new").mkdir()
    with pytest.raises(IsADirectoryError, match=r"history\.json\.new"):
        note_use(str(home), "b", "worker", "served")


def test_killed_update_leaves_the_old_or_the_new_history(home):
    def change(history):
        history.switch = Switch("b", "a")
        history.entry("a").served["worker"] = 5

    old, number = read_history(str(home)), 0
    new = read_history(str(home))
    change(new)
    before = (home / "history.json").read_text()
    while killed_at(number, home, lambda: update_history(str(home), change)):
        assert read_history(str(home)) in (old, new)
        update_history(str(home), change)
        assert read_history(str(home)) == new
        assert sorted(os.listdir(home)) == ["current", "history.json", "releases"]
        (home / "history.json").write_text(before)
        number += 1
    assert number >= 3
