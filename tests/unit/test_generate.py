# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files generated from the settings table and from the data of the roles are up to date."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SOURCE = "plugins/plugin_utils/cluster/settings.py"
ROLES = "tools/roles.yml"
VARIABLES = "docs/reference/variables.md"


def generate(root, *arguments):
    """Run the generator in a checkout."""
    command = [sys.executable, root / "tools/generate", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def generated(root):
    """Return the content of the generated files, by path."""
    paths = [
        root / "docs/how-to/doctor.md",
        *root.glob("docs/reference/*.md"),
        *root.glob("roles/*/README.md"),
        *root.glob("roles/*/defaults/main.yml"),
    ]
    paths += root.glob("roles/*/meta/argument_specs.yml")
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def defaults(root, role):
    """Return the defaults of a role."""
    return yaml.safe_load((root / f"roles/{role}/defaults/main.yml").read_text())


def test_generated_files_are_up_to_date():
    done = generate(ROOT, "--check")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the files that the generator reads and writes."""
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("docs/how-to", "docs/reference", "playbooks", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "plugins"))
    shutil.copytree(ROOT / "roles", tmp_path / "roles", ignore=shutil.ignore_patterns("files"))
    (tmp_path / ".collections/ansible_collections/daskops").mkdir(parents=True)
    (tmp_path / ".collections/ansible_collections/daskops/cluster").symlink_to(tmp_path)
    return tmp_path


def test_changed_table_is_detected_and_written_to_all_files_that_have_the_variable(checkout):
    before = generated(checkout)
    table = checkout / SOURCE
    table.write_text(
        table.read_text()
        .replace('"2GiB"', '"7GiB"')
        .replace('"auto",\n            "Python of', '"3.99",\n            "Python of')
    )
    done = generate(checkout, "--check")
    assert done.returncode == 1
    changed = {VARIABLES} | {
        f"roles/preflight/{path}" for path in ("README.md", "defaults/main.yml", "meta/argument_specs.yml")
    }
    message = ": out of date with the code. Run 'make generate'.\n"
    assert done.stderr.endswith(message)
    assert set(done.stderr.removesuffix(message).split(", ")) == changed
    assert generated(checkout) == before
    assert set(generate(checkout).stdout.split()) == changed
    assert generate(checkout, "--check").returncode == 0
    assert {path for path, text in generated(checkout).items() if text != before[path]} == changed
    assert defaults(checkout, "preflight")["dask_free_disk"] == "7GiB"
    assert (checkout / VARIABLES).read_text().count("`'3.99'`") == 2


@pytest.mark.parametrize("path", [VARIABLES, "roles/worker/README.md"])
def test_edited_generated_file_is_detected(checkout, path):
    page = checkout / path
    page.write_text(page.read_text().replace("`dask_worker_drain_timeout`", "`dask_worker_drain_timeouts`"))
    done = generate(checkout, "--check")
    assert done.returncode == 1 and done.stderr.startswith(f"{path}: out of date")


def test_text_of_a_page_around_its_generated_part_may_be_edited(checkout):
    page = checkout / VARIABLES
    page.write_text(page.read_text().replace("# Variables\n", "# All variables\n", 1))
    assert generate(checkout, "--check").returncode == 0


def test_page_without_the_mark_of_its_generated_part_is_rejected(checkout):
    page = checkout / "docs/reference/ports.md"
    page.write_text(page.read_text().replace("<!-- Ports: written by `make generate` -->\n", ""))
    done = generate(checkout, "--check")
    assert done.returncode == 1 and "lacks the lines <!-- Ports" in done.stderr


@pytest.mark.parametrize(
    ("path", "old", "new", "page", "said"),
    [
        ("playbooks/stop.yml", "# Stops the cluster", "# Halts the cluster", "playbooks", "Halts the cluster"),
        ("playbooks/status.yml", "tags: versions", "tags: packages", "playbooks", "`health`, `packages`"),
        (SOURCE, "8786,", "8796,", "ports", "| 8796 "),
        ("plugins/module_utils/health.py", 'f"Missing: {', 'f"Absent: {', "messages", "| Absent: …. Check the units"),
        (
            "plugins/plugin_utils/cluster/groups.py",
            "has no host in",
            "lacks a host in",
            "messages",
            "- The inventory lacks a",
        ),
        (ROLES, "Stage a release on", "Prepare a release on", "", ""),
    ],
)
def test_changed_source_changes_its_page(checkout, path, old, new, page, said):
    source = checkout / path
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))
    changed = generate(checkout).stdout.split()
    if page:
        assert f"docs/reference/{page}.md" in changed
        assert said in (checkout / f"docs/reference/{page}.md").read_text()
    else:
        assert changed and not [one for one in changed if one.startswith("docs/")]


def test_role_has_the_variables_that_its_files_name_and_those_that_they_follow_from(checkout):
    assert not {"dask_serial", "dask_open_files"} & defaults(checkout, "environment").keys()
    for path, text in {
        "handlers/main.yml": "# {{ dask_serial }}, not my_dask_user, not dask_user_home_of_mine\n",
        "templates/new.j2": "{{ __dask_limits }}\n",
        "vars/main.yml": '__dask_limits: "{{ dask_open_files }}"\n__dask_unused: []\n',
    }.items():
        (checkout / "roles/environment" / path).parent.mkdir(exist_ok=True)
        (checkout / "roles/environment" / path).write_text(text)
    assert generate(checkout).returncode == 0
    found = defaults(checkout, "environment")
    assert {"dask_serial", "dask_open_files"} <= found.keys()
    assert not {"dask_user", "dask_user_home", "__dask_limits"} & found.keys()
    assert "| `dask_serial` |" in (checkout / "roles/environment/README.md").read_text()


def test_role_that_renders_templates_of_other_roles_has_their_variables(checkout):
    template = checkout / "roles/worker/templates/worker.env.j2"
    template.write_text(template.read_text() + "{{ dask_cache }}\n")
    assert generate(checkout).returncode == 0
    roles = {path.parents[1].name for path in checkout.glob("roles/*/defaults/main.yml")}
    assert {role for role in roles if "dask_cache" in defaults(checkout, role)} == {"config", "preflight", "worker"}


def test_role_names_the_missing_role(checkout):
    data = checkout / ROLES
    data.write_text(
        data.read_text().replace(
            "after: [preflight, environment, config, tls]\n    needs: [__dask_host, __dask_plan]",
            "after: [preflight, environment, config, tls]\n    needs: [__dask_host, __dask_certificates]",
            1,
        )
    )
    assert generate(checkout).returncode == 0
    assert defaults(checkout, "proxy")["__dask_certificates"] == (
        "{{ undef(hint='daskops.cluster.proxy needs the results of daskops.cluster.preflight. "
        "Add that role before it, or omit --skip-tags.') }}"
    )
