# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files generated from the settings table are up to date."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "plugins/plugin_utils/cluster/settings.py"
GENERATED = ["roles/preflight/meta/argument_specs.yml", "roles/common/defaults/main.yml", "README.md"]


def generate(root, *arguments):
    """Run the generator in a checkout."""
    command = [sys.executable, root / "tools/generate_settings", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_generated_files_are_up_to_date():
    done = generate(ROOT, "--check")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the files that the generator reads and writes."""
    for path in (SOURCE, "tools/generate_settings", *GENERATED):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    (tmp_path / ".collections/ansible_collections/daskops").mkdir(parents=True)
    (tmp_path / ".collections/ansible_collections/daskops/cluster").symlink_to(tmp_path)
    return tmp_path


def test_changed_table_is_detected_and_written_to_all_files(checkout):
    before = {path: (checkout / path).read_text() for path in GENERATED}
    table = checkout / SOURCE
    table.write_text(table.read_text().replace('"2GiB"', '"7GiB"').replace('"python3"', '"python3.99"'))
    done = generate(checkout, "--check")
    assert done.returncode == 1
    assert done.stderr == f"{', '.join(GENERATED)}: out of date with {SOURCE}. Run 'make generate'.\n"
    assert {path: (checkout / path).read_text() for path in GENERATED} == before
    assert generate(checkout).stdout.split() == GENERATED
    assert generate(checkout, "--check").returncode == 0
    assert "dask_free_disk: 7GiB\n" in (checkout / GENERATED[1]).read_text()
    assert "| `python3.99`" in (checkout / "README.md").read_text()


def test_edited_generated_file_is_detected(checkout):
    readme = checkout / "README.md"
    readme.write_text(readme.read_text().replace("| `dask_python` ", "| `dask_pythons`"))
    done = generate(checkout, "--check")
    assert done.returncode == 1 and done.stderr.startswith("README.md: out of date")
