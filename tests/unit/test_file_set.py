# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written and removed in one execution."""

import contextlib
import io
import json
import os
import stat

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.modules import file_set


@pytest.fixture
def run(tmp_path):
    """Return a function that executes the module for a directory, and returns its result."""

    def executed(check_mode=False, **options):
        arguments = {"directory": str(tmp_path / "files"), "_ansible_check_mode": check_mode, **options}
        with patch_module_args(arguments), contextlib.redirect_stdout(io.StringIO()) as output:
            with pytest.raises(SystemExit):
                file_set.main()
        return json.loads(output.getvalue())

    return executed


def test_files_are_written_once(run, tmp_path):
    files = {"a.yml": "{{ a }}\n", "more/b.json": "\n[]\n"}
    assert run(files=files, check_mode=True)["written"] == ["a.yml", "more/b.json"]
    assert not (tmp_path / "files").exists()
    result = run(files=files)
    assert result["changed"] and result["written"] == ["a.yml", "more/b.json"] and result["removed"] == []
    assert {name: (tmp_path / "files" / name).read_text() for name in files} == files
    assert (tmp_path / "files/more/b.json").stat().st_mode & 0o777 == 0o644
    assert not run(files=files)["changed"]
    result = run(files={**files, "a.yml": "new\n"})
    assert [(one["before"], one["after"]) for one in result["diff"]] == [("{{ a }}\n", "new\n")]


def test_other_files_are_removed(run, tmp_path):
    run(files={"a": "1", "more/b": "2"})
    (tmp_path / "files/notes").touch()
    result = run(files={"a": "1"}, absent=["a", "more/b", "c"])
    assert result["removed"] == ["more/b"] and result["written"] == []
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["a", "notes"]
    assert not run(absent=["more/b"])["changed"]


def test_empty_directory_is_removed(run, tmp_path):
    run(files={"a": "1", "more/b": "2"})
    assert run(absent=["a", "more/b"], check_mode=True)["changed"] and (tmp_path / "files/a").exists()
    assert run(absent=["a", "more/b"])["removed"] == ["a", "more/b"]
    assert not (tmp_path / "files").exists()
    assert not run(absent=["a", "more/b"])["changed"]


def test_no_file_is_written_if_one_cannot_be(run, tmp_path):
    (tmp_path / "files/b").mkdir(parents=True)
    result = run(files={"a": "1", "b": "2"})
    assert result["failed"] and "On this host writing the files failed (none of them was changed): " in result["msg"]
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["b"]


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "socket"])
def test_what_is_not_a_regular_file_is_replaced_and_not_opened(run, tmp_path, kind):
    secret, path = tmp_path / "shadow", tmp_path / "files/a"
    secret.write_text("secret")
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, 0o600 | stat.S_IFSOCK)
    else:
        path.symlink_to(secret if kind == "link" else tmp_path / "nowhere")
    checked = run(files={"a": "1"}, check_mode=True)
    result = run(files={"a": "1"})
    assert result["written"] == ["a"] and checked["diff"] == result["diff"] and result["diff"][0]["before"] == ""
    assert (path.read_text(), path.is_symlink(), secret.read_text()) == ("1", False, "secret")
    assert not (tmp_path / "nowhere").exists() and os.listdir(tmp_path / "files") == ["a"]


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("where", ["files", "files/grafana"])
def test_directory_that_others_can_change_is_rejected(run, tmp_path, where, link):
    (tmp_path / "files").mkdir()
    changeable = tmp_path / where
    if link and where != "files":
        (tmp_path / "other").mkdir()
        changeable.symlink_to(tmp_path / "other")
        changeable = tmp_path / "other"
    changeable.mkdir(exist_ok=True)
    changeable.chmod(0o777)
    for options in ({"files": {"grafana/b": "2"}}, {"absent": ["grafana/b"]}):
        result = run(**options)
        assert (
            result["failed"]
            and f": other users can change {changeable}, so nothing was written there." in result["msg"]
        )
    assert not (changeable / "b").exists() and not (changeable / "grafana").exists()


def test_relative_directory_is_rejected(run):
    assert run(directory="mon", files={"a": "1"})["msg"] == (
        "mon is not an absolute path. Give the path from the root directory."
    )
