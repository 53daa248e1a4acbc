# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that every file of the repository keeps."""

from __future__ import annotations

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
HEADER = [
    "# Copyright (c) 2026, the daskops.cluster authors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
]


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
