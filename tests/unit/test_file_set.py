# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written and removed in one execution."""

import contextlib
import io
import json

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
