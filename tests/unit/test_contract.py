# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consistency of variables, modules and their documentation with the tasks and templates that use them."""

import dataclasses
import importlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import documentation
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import POOL_SETTINGS

ROOT = Path(__file__).parents[2]
DEFAULTS = yaml.safe_load((ROOT / "roles/preflight/defaults/main.yml").read_text())
SPEC = yaml.safe_load((ROOT / "roles/preflight/meta/argument_specs.yml").read_text())["argument_specs"]["main"][
    "options"
]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "__init__")

# Variables


def texts():
    """Generate the path and the parsed YAML or text of each task file, vars file, playbook and template."""
    for path in sorted([*ROOT.glob("roles/*/*/*"), *ROOT.glob("playbooks/**/*")]):
        if path.parent.name in ("tasks", "handlers", "vars", "playbooks") and path.suffix == ".yml":
            yield path, yaml.safe_load(path.read_text())
        elif path.parent.name == "templates":
            yield path, path.read_text()


def expressions(value, key=None):
    """Generate the Jinja templates in a YAML value, including bare expressions such as `when`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from expressions(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner, key)
    elif isinstance(value, str):
        bare = key in ("when", "that", "until", "changed_when", "failed_when") and "{{" not in value
        yield "{{" + value + "}}" if bare else value


def names(text):
    """Return the variables that a template uses, also those named as in ``map('extract', hostvars, '__dask_plan')``."""
    used = {name.name for name in jinja2.Environment().parse(text).find_all(jinja2.nodes.Name)}
    used |= set(re.findall(r"hostvars[^}]*?\b(_*dask_\w+)", text))
    return {name for name in used if name.lstrip("_").startswith("dask_")} - {"dask_scheduler", "dask_workers"}


def uses():
    """Return the path and name of each use of a variable of the collection."""
    sources = [*texts(), (ROOT / "roles/preflight/defaults/main.yml", DEFAULTS)]
    return {(path, name) for path, content in sources for text in expressions(content) for name in names(text)}


def defined(value):
    """Generate the variables that tasks, plays and vars files define."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("register", "loop_var", "index_var"):
                yield inner
            elif key in ("vars", "variables", "set_fact", "ansible.builtin.set_fact"):
                yield from inner
            yield from defined(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from defined(inner)


def read_by_python():
    """The variables that the plan and the releases are made of."""
    found = {f"dask_{field.name}" for field in dataclasses.fields(Settings)}
    found |= {one.name for one in POOL_SETTINGS.values()}
    for directory in ("plugins/action", "plugins/plugin_utils", "plugins/plugin_utils/cluster"):
        for path in (ROOT / directory).glob("*.py"):
            if path.name not in ("names.py", "settings.py"):  # which name all of them
                found |= set(re.findall(r'\["(dask_\w+)"\]', path.read_text()))
                found |= set(re.findall(r'^    "(dask_\w+)",$', path.read_text(), re.MULTILINE))
    return found


def test_every_variable_is_used():
    outside = {name for path, name in uses() if path.parent.name != "defaults"} | read_by_python()
    assert {name for name in DEFAULTS if name not in outside} == set()


def test_every_used_variable_exists():
    known = {*DEFAULTS}
    for path, content in texts():
        if path.parent.name == "vars":
            known |= {*content, *defined(content)}
        elif not isinstance(content, str):
            known |= set(defined(content))
    assert {(str(path.relative_to(ROOT)), name) for path, name in uses() if name not in known} == set()


# `-e dask_worker_nanny=false` and INI inventories set a non-empty string, which Jinja takes as true without `bool`.
@pytest.mark.parametrize("name", sorted(name for name, about in SPEC.items() if about["type"] == "bool"))
def test_flags_are_used_with_the_bool_filter(name):
    sources = [text for path, content in texts() for text in expressions(content) if "{{" in text or "{%" in text]
    used = [match for text in sources for match in re.findall(rf"\b{name}\b( *\| *bool\b)?", text)]
    assert all(used)


# Modules


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "plugins/action").glob("*.py")))
def test_action_does_not_set_transfers_files(name):
    # With TRANSFERS_FILES, Ansible creates and removes a directory on each host (two commands), even if the action runs
    # nothing there.
    action = importlib.import_module(f"ansible_collections.daskops.cluster.plugins.action.{name}")
    assert not action.ActionModule.TRANSFERS_FILES


def load(module):
    return importlib.import_module(f"ansible_collections.daskops.cluster.plugins.modules.{module}")


def argument_spec(module, monkeypatch):
    """Return the argument specification of a module, or None if its action plugin does all the work."""

    class Seen(Exception):
        pass

    def seen(argument_spec, **dummy):
        raise Seen(argument_spec)

    loaded = load(module)
    if not hasattr(loaded, "main"):
        return None
    monkeypatch.setattr(loaded, "AnsibleModule", seen)
    with pytest.raises(Seen) as caught:
        loaded.main()
    return caught.value.args[0]


def plain(options, inner):
    """Return options with the defaults that Ansible uses for missing keys."""
    return {
        name: {
            "type": about.get("type", "str"),
            "required": about.get("required", False),
            "default": about.get("default"),
            "choices": list(about.get("choices") or []),
            "elements": about.get("elements"),
            "options": plain(about.get(inner) or {}, inner),
        }
        for name, about in options.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_documentation_parses_and_is_complete(module):
    about = documentation(module)
    assert about["module"] == module
    assert about["short_description"] and about["description"] and about["author"]
    assert {"check_mode", "diff_mode"} <= set(about["attributes"])
    loaded = load(module)
    assert yaml.safe_load(loaded.RETURN)
    assert [task for task in yaml.safe_load(loaded.EXAMPLES) if f"daskops.cluster.{module}" in task]


TYPES = {"str": str, "bool": bool, "int": int, "float": (int, float), "list": list, "dict": dict}
#: What users call, and not only the roles.
CALLED = sorted(
    path
    for folder in ("modules", "filter")
    for path in (ROOT / "plugins" / folder).glob("*.py")
    if "daskops.cluster.internal" not in path.read_text()
)


def without_sample(returned):
    """Yield the names of return values that have no sample, or one of another type."""
    for name, about in returned.items():
        if not isinstance(about.get("sample"), TYPES[about["type"]]) or about["sample"] in ([], {}, ""):
            yield name


@pytest.mark.parametrize("path", CALLED, ids=lambda path: path.stem)
def test_return_values_of_what_users_call_have_samples(path):
    returned = yaml.safe_load(re.search(r'^RETURN = r"""(.*?)"""', path.read_text(), re.MULTILINE | re.DOTALL)[1])
    assert returned and list(without_sample(returned)) == []


def test_what_users_call_is_found():
    names = {path.stem for path in CALLED}
    assert {"cluster_health", "configuration_info", "client_bundle", "health_report"} <= names and "plan" not in names


@pytest.mark.parametrize("about", [{"type": "str"}, {"type": "list", "sample": "a"}, {"type": "dict", "sample": {}}])
def test_missing_sample_is_found(about):
    assert list(without_sample({"x": about})) == ["x"]


@pytest.mark.parametrize("module", MODULES)
def test_documented_options_match_the_argument_spec(module, monkeypatch):
    """An action plugin has the documented options by itself, but it may need a module of the same name."""
    spec = argument_spec(module, monkeypatch)
    assert spec is not None or (ROOT / f"plugins/action/{module}.py").exists()
    if spec is not None:
        assert plain(documentation(module)["options"], "suboptions") == plain(spec, "options")


def tasks(value):
    """Generate the name and the arguments of each use of a module of the collection."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).startswith("daskops.cluster."):
                yield key.rsplit(".", 1)[1], inner or {}
            yield from tasks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from tasks(inner)


def check_arguments(where, arguments, options):
    """Assert that arguments are documented and complete, including suboptions."""
    assert set(arguments) <= set(options), f"{where}: not documented"
    assert {name for name, about in options.items() if about.get("required")} <= set(arguments), f"{where}: not given"
    for name, value in arguments.items():
        inner = options[name].get("suboptions")
        for one in value if isinstance(value, list) else [value]:
            if inner and isinstance(one, dict):
                check_arguments(f"{where}.{name}", one, inner)


def test_modules_are_called_as_documented():
    called = {module: yaml.safe_load(load(module).EXAMPLES) for module in MODULES}
    called.update((str(path), content) for path, content in texts() if not isinstance(content, str))
    seen = set()
    for where, content in called.items():
        for module, arguments in tasks(content):
            if module in MODULES:
                seen.add(module)
                check_arguments(f"{where}: {module}", arguments, documentation(module).get("options", {}))
    assert seen == set(MODULES)


# The archive


def test_private_keys_and_built_pages_are_not_in_the_archive(tmp_path):
    source = tmp_path / "source"

    def ignored(directory, names):
        # The documentation may be built during this test.
        built = {"docs": {"_build"}, "docs/reference": {"plugins"}}.get(str(Path(directory).relative_to(ROOT)), set())
        return {name for name in names if name.startswith(".") or name in {"tests", "molecule", *built}}

    shutil.copytree(ROOT, source, ignore=ignored)
    for directory in ("dask-tls", "inventories/small/dask-tls", "inventories/small/dask-monitoring"):
        (source / directory).mkdir()
        for name in ("ca.key", "ca.pem", "client.key", ".gitignore"):
            (source / directory / name).write_text("secret")
    for directory in ("docs/_build/html", "docs/reference/plugins"):
        (source / directory).mkdir(parents=True, exist_ok=True)
        (source / directory / "index.html").touch()
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", tmp_path, source], check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert {"inventories/small/hosts.yml", "docs/tutorial.md", "docs/_static/diagrams.css"} <= {*names}
    assert [name for name in names if name.startswith(("docs/_build", "docs/reference/plugins/"))] == []
    assert [name for name in names if re.search(r"dask-(tls|monitoring)|\.key$", name)] == []
    # Nor are they read as inventories.
    listed = subprocess.run(
        ["ansible-inventory", "-i", source / "inventories/small", "--graph"],
        capture_output=True, text=True, check=True, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )  # fmt: skip
    assert "dask_scheduler" in listed.stdout and listed.stderr == ""
