# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that every file of the repository keeps."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# REUSE-IgnoreStart
HEADER = [
    "# Copyright (c) 2026, the daskops.cluster authors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
]
# REUSE-IgnoreEnd

#: Test files of several source files: roles, templates, playbooks, tools, and rules of the repository.
GENERAL = {
    "configuration_files": "the validation of whole configuration files",
    "contract": "documentation, arguments and variables agree",
    "dask_tests": "Dask's own tests of the interface of the package daskops",
    "documentation": "the README and docs",
    "generate": "tools",
    "playbooks": "playbooks",
    "proxy": "the templates of the role proxy",
    "repository": "this file",
    "roles": "roles",
    "runtime": "what all modules of the runtime have in common",
}


def list_files() -> list[pathlib.Path]:
    """Return the repository's files, including uncommitted ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in map(ROOT.joinpath, listed.stdout.splitlines()) if path.is_file() and not path.is_symlink()]


def read_first_lines(path: pathlib.Path) -> list[str]:
    """Return the first three lines of a text file after the interpreter line, if any."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [file.readline().rstrip("\n") for _ in range(4)]
    return lines[1:] if lines[0].startswith("#!") else lines[:3]


def is_program(path: pathlib.Path) -> bool:
    """Return whether a file is Python or shell code. Templates are not checked, because their header belongs to the host."""
    if path.suffix == ".j2":
        return False
    with open(path, "rb") as file:
        return path.suffix in (".py", ".sh") or file.read(2) == b"#!"


def test_programs_have_a_licence_header():
    programs = [path for path in list_files() if is_program(path)]
    assert len(programs) > 100
    missing = [str(path.relative_to(ROOT)) for path in programs if read_first_lines(path) != HEADER]
    assert not missing


def source_names() -> set[str]:
    """Return the names of all plugins and of the Python files that roles copy to hosts.

    An action plugin and its documentation have the same name, and so do a filter and the function that it calls. One test
    file tests both. Documentation fragments have no behaviour.
    """
    folders = [path.relative_to(ROOT).parts for path in list_files() if path.suffix == ".py"]
    sources = [
        parts
        for parts in folders
        if (parts[0] == "plugins" and parts[1] != "doc_fragments") or (parts[0] == "roles" and parts[2] == "files")
    ]
    return {parts[-1][:-3] for parts in sources} - {"__init__"}


def test_every_source_file_has_a_test_file_of_its_name():
    tests = {path.stem[len("test_") :] for path in (ROOT / "tests/unit").glob("test_*.py")}
    sources = {name.lstrip("_") for name in source_names()}
    assert len(sources) > 90
    assert sources - tests == set()
    assert tests - sources == set(GENERAL)


def test_licence_has_the_same_text_in_both_places():
    """REUSE wants it in LICENSES, and Galaxy in LICENSE."""
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "LICENSES/GPL-3.0-or-later.txt").read_bytes()


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_default_lock_can_be_installed_with_each_python(version, tmp_path):
    """The scenarios install it with the Python of Debian 12."""
    lock = ROOT / "roles/environment/files/default.txt"
    options = ["--dry-run", "--require-hashes", "--only-binary=:all:", "--python-platform=x86_64-manylinux_2_28"]
    command = ["uv", "pip", "install", *options, f"--python-version={version}", f"--target={tmp_path}", "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "+ distributed==" in done.stderr, done.stderr
