# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README and the pages in `docs`: links, commands, names, examples and metrics are those of the collection.

`make docs` checks what only Sphinx knows, such as pages that no table of contents lists.
"""

from __future__ import annotations

import configparser
import fnmatch
import inspect
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dask.config
import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.inventory import dask_ssh
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import DEFAULTS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import GROUPS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import wrong_variables
from ansible_collections.daskops.cluster.plugins.plugin_utils.tags import SPECIAL
from dask.distributed import Nanny, Scheduler, SSHCluster, Worker
from distributed.cli.dask_ssh import main as dask_ssh_command
from playbook_runs import ROOT, inventory, play
from test_roles import generator
from test_tags import COLLECTIONS, READ

reference = sys.modules["reference"]  # imported by the generator

PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    if not {"_build", "plugins"} & {*path.parts[:-1]}
)
#: Pages whose files other pages may link to, and which may link to files outside of the archive.
MORE_PAGES = [*ROOT.glob("roles/*/README.md"), ROOT / "benchmarks/README.md", ROOT / "testbed/README.md"]
BUILD_IGNORE = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]


def name(path: Path) -> str:
    """Return the path of a page in the repository."""
    return str(path.relative_to(ROOT))


class Block(NamedTuple):
    """A block of code in a page."""

    page: str
    line: int
    language: str
    text: str


FENCE = re.compile(r"^( *)```(.*)$")


def blocks(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of code in a page."""
    start, indent, language, lines = 0, "", "", []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if fence and not start:
            start, indent, language, lines = number, fence[1], fence[2].strip(), []
        elif fence and line.strip() == "```":
            yield Block(page, start, language, textwrap.dedent("\n".join(lines)) + "\n")
            start = 0
        elif start:
            lines.append(line.removeprefix(indent))
    assert not start, f"{page}:{start}: the block of code does not end"


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def double_blank_lines(text: str) -> list[int]:
    """Return the numbers of the blank lines outside of code that follow a blank line."""
    lines = re.sub(r"^ *```.*?^ *```$", lambda block: "code\n" * block[0].count("\n") + "code", text, flags=re.M | re.S)
    pairs = enumerate(itertools.pairwise(lines.splitlines()), 2)
    return [number for number, (before, line) in pairs if not before.strip() and not line.strip()]


@pytest.mark.parametrize("path", [*PAGES, *MORE_PAGES], ids=name)
def test_pages_have_no_double_blank_lines(path):
    assert double_blank_lines(path.read_text()) == []


def test_double_blank_line_is_found():
    assert double_blank_lines("a\n\n```python\nb\n\n\nc\n```\n\n\nd\n") == [10]


ALL_BLOCKS = [block for path in PAGES for block in blocks(name(path), path.read_text())]


def located(block: Block) -> str:
    """Return where a block is, as the id of a test."""
    return f"{block.page}:{block.line}"


# Links


def slugs(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-1")
    return found


def links(text: str) -> list[str]:
    """Return the targets of a page's links that do not leave the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def in_archive(path: Path) -> bool:
    """Return whether a file is in the archive of the collection."""
    parts = path.relative_to(ROOT).parts
    prefixes = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return not any(fnmatch.fnmatch(one, pattern) for pattern in BUILD_IGNORE for one in [*prefixes, *parts])


def broken(path: Path, text: str, archive: bool = True) -> Iterator[str]:
    """Yield the links of a page that lead nowhere or, if ``archive``, to files that are not in the archive."""
    for target in links(text):
        file, dummy, anchor = target.partition("#")
        other = (path.parent / file).resolve() if file else path
        if not other.exists():
            yield f"{target}: no such file"
        elif archive and not in_archive(other):
            yield f"{target}: not in the archive"
        elif anchor and anchor not in slugs(text if other == path else other.read_text()):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("path", [*PAGES, *MORE_PAGES], ids=name)
def test_links_lead_to_files_and_headings(path):
    assert list(broken(path, path.read_text(), archive=path in PAGES)) == []


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("docs/tutorial.md", []),
        ("docs/reference/variables.md#dask_home", []),
        ("#requirements", []),
        ("https://example.org/nowhere#at-all", []),
        ("docs/nowhere.md", ["docs/nowhere.md: no such file"]),
        ("docs/tutorial.md#nowhere", ["docs/tutorial.md#nowhere: no such heading"]),
        ("#nowhere", ["#nowhere: no such heading"]),
        ("testbed/README.md", ["testbed/README.md: not in the archive"]),
        ("docs/_build/nowhere.html", ["docs/_build/nowhere.html: no such file"]),
    ],
)
def test_broken_link_is_found(link, said):
    assert list(broken(ROOT / "README.md", f"## Requirements\n\nSee [this]({link}).\n")) == said


def test_anchors_are_those_of_github():
    text = "# How do I …?\n\n## 4. Hosts with work, in batches\n\n## `dask_home`\n\n## [a](b) and c\n\n```text\n# no\n```\n"
    assert slugs(text) == {"how-do-i-", "4-hosts-with-work-in-batches", "dask_home", "a-and-c"}


# The form of pages


@pytest.mark.parametrize(("page", "lines"), [("README.md", 150), ("CONTRIBUTING.md", 80)])
def test_page_is_short(page, lines):
    assert len((ROOT / page).read_text().splitlines()) <= lines


@pytest.mark.parametrize("path", [path for path in PAGES if path.name not in ("index.md", "ansible.md")], ids=name)
def test_page_begins_with_what_the_reader_gets_and_an_example(path):
    """The README and the tutorial consist of examples, and the comparison has a table of cases."""
    heading, first, *rest = path.read_text().split("\n\n")
    assert heading.startswith("# ") and "\n" not in heading
    assert re.match(r"[A-Z*]", first) and not first.startswith("#")
    if path.name not in ("README.md", "tutorial.md", "comparison.md"):
        before = "\n\n".join([first, *rest]).partition("\n## ")[0]
        assert list(blocks(name(path), before)), "no example before the first heading"


def broken_tables(text: str) -> Iterator[str]:
    """Yield the first row of each table that has no header, or a row with another number of cells than the header."""
    rows: list[str] = []
    for line in [*prose(text).splitlines(), ""]:
        if line.startswith("|"):
            rows.append(line)
            continue
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        if rows and (len(rows) < 3 or not re.fullmatch(r"[| :-]+", rows[1]) or len(counts) > 1):
            yield rows[0]
        rows = []


@pytest.mark.parametrize("path", [*PAGES, *MORE_PAGES], ids=name)
def test_tables_have_a_header_and_rows_of_one_length(path):
    assert list(broken_tables(path.read_text())) == []


@pytest.mark.parametrize(
    "table", ["| --- | --- |\n| a | b |\n", "| a | b |\n| --- | --- |\n| c |\n", "| a |\n| --- |\n"]
)
def test_broken_table_is_found(table):
    assert list(broken_tables(f"Text.\n\n{table}\nText.\n")) == [table.partition("\n")[0]]


# Commands

#: A command in a block, or one in the text between backquotes.
COMMAND = re.compile(r"ansible-playbook [^\n`|]*")


def commands(text: str) -> list[str]:
    """Return the commands with ``ansible-playbook`` of a page, without comments."""
    return [re.split(r"\s{2,}#|\s#\s|\s&&|\s<|;", one)[0].strip() for one in COMMAND.findall(text) if " -i " in one]


def short_commands(text: str) -> list[str]:
    """Return mentions such as ``site.yml --tags config`` as commands."""
    return [f"ansible-playbook playbooks/{one}" for one in re.findall(r"`([a-z_]+\.yml -[^`]*)`", text)]


def playbook_of(word: str) -> Path:
    """Return the file of a playbook that a command names."""
    if word.startswith("daskops.cluster."):
        return ROOT / "playbooks" / f"{word.removeprefix('daskops.cluster.')}.yml"
    return ROOT / word


def wrong(command: str) -> Iterator[str]:
    """Yield what is wrong with a command: its playbook, its tags or its variables."""
    words = shlex.split(re.sub(r"\$\(.*?\)", "v1.4", command).replace("…", ""))[1:]
    path = playbook_of(words[0])
    if path.name.startswith("_") or not path.is_file():
        yield f"{words[0]}: no such playbook"
        return
    for option, value in zip(words, words[1:], strict=False):
        if option in ("--tags", "--skip-tags"):
            yield from (f"{tag}: no such tag" for tag in value.split(",") if tag not in reference.tags(path))
        elif option == "-e":
            variable, dummy, text = value.partition("=")
            yield from map(str, wrong_variables({variable: text}, {}))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_commands_name_playbooks_tags_and_variables_that_exist(path):
    text = path.read_text()
    assert [f"{one}: {said}" for one in [*commands(text), *short_commands(prose(text))] for said in wrong(one)] == []


def test_enough_commands_are_found():
    texts = [path.read_text() for path in PAGES]
    assert sum(len(commands(text)) for text in texts) > 60
    assert sum(len(short_commands(prose(text))) for text in texts) > 6


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("playbooks/site.yml -i inventory --tags config,health", []),
        ("daskops.cluster.site -i inventory", []),
        ("playbooks/sites.yml -i inventory", ["playbooks/sites.yml: no such playbook"]),
        ("playbooks/_activate.yml -i inventory", ["playbooks/_activate.yml: no such playbook"]),
        ("daskops.cluster.sites -i inventory", ["daskops.cluster.sites: no such playbook"]),
        ("playbooks/status.yml -i inventory --tags config", ["config: no such tag"]),
        (
            "playbooks/site.yml -i inventory -e dask_serials=1",
            ["dask_serials is not a variable of daskops.cluster. Did you mean dask_serial?"],
        ),
    ],
)
def test_wrong_command_is_found(command, said):
    (found,) = commands(f"$ ansible-playbook {command}   # a comment\n")
    assert list(wrong(found)) == said


def test_wrong_value_in_a_command_is_found():
    assert list(wrong("ansible-playbook playbooks/site.yml -i inventory -e dask_scheduler_restart=never"))


def test_tags_of_playbooks_are_those_of_ansible():
    script = READ.replace(
        "tags, complete = tags_of(sys.argv[1:], loader,",
        "tell = lambda path: tags_of([path], loader,",
    ).replace(
        "print(json.dumps([sorted(tags), complete]))",
        "print(json.dumps([tell(one) for one in sys.argv[1:]], default=sorted))",
    )
    paths = sorted(ROOT.glob("playbooks/[!_]*.yml"))
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    done = subprocess.run([sys.executable, "-c", script, *paths], env=env, capture_output=True, text=True, check=True)
    told = {
        path.name: {*tags}.difference(SPECIAL)
        for path, (tags, dummy) in zip(paths, json.loads(done.stdout), strict=True)
    }
    assert told == {path.name: reference.tags(path) for path in paths}
    assert told["status.yml"] == {"health", "versions"}


def test_every_tag_is_explained():
    text = (ROOT / "docs/reference/playbooks.md").read_text().partition("## Tags")[2]
    used = set().union(*(reference.tags(path) for path in ROOT.glob("playbooks/[!_]*.yml")))
    assert set(re.findall(r"^\| `(\w+)` ", text, re.MULTILINE)) == used


# Names

#: Functions of preload modules, and the names of metrics, which have a test of their own.
OTHER_NAMES = {*GROUPS, "dask_setup"}


def unknown_names(text: str) -> set[str]:
    """Return the names like variables of the collection that are none."""
    found = set(re.findall(r"(?<![\w.-])dask_[a-z0-9_]*[a-z0-9](?![\w*])", text)) - metrics(text)
    return found - {*SETTINGS} - OTHER_NAMES


def metrics(text: str) -> set[str]:
    """Return the names of metrics in a text: names in expressions, and counters."""
    return {
        *re.findall(r"\b(dask_\w+)(?=\{|\[\d|\) [<>=])", text),
        *re.findall(r"\b(dask_\w+_total)\b", text),
        *re.findall(r"\b(daskops_\w+)(?=\{|\[\d|\) [<>=]|` \| (?:both|scheduler|workers) \|)", text),
    }


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_names_are_variables_of_the_collection(path):
    assert unknown_names(path.read_text()) == set()


def test_unknown_name_is_found():
    assert unknown_names("`dask_worker_treads`, `dask_serial` and dask_clients") == {"dask_worker_treads"}


def test_metrics_are_those_of_the_services(scraped):
    named = set().union(*(metrics(path.read_text()) for path in PAGES))
    assert {"dask_scheduler_workers", "dask_worker_task_errors_total"} <= named
    assert named - scraped == set()
    ours = {name for name in scraped if name.startswith("daskops_") and not name.endswith("_created")}
    assert ours == {name for name in named if name.startswith("daskops_")}


# Examples

YAML_BLOCKS = [block for block in ALL_BLOCKS if block.language == "yaml"]
#: Hosts for examples that consist of variables only.
GROUP_HOSTS = {"dask_scheduler": {"scheduler.example.org": None}, "dask_workers": {"worker1.example.org": None}}


def is_inventory(block: Block) -> bool:
    """Return whether a block is an inventory, or a part of one."""
    loaded = yaml.safe_load(block.text)
    return isinstance(loaded, dict) and "all" in loaded


INVENTORIES = [block for block in YAML_BLOCKS if is_inventory(block)]


def groups_in(value: object) -> set[str]:
    """Return the names of all groups in an inventory."""
    if not isinstance(value, dict):
        return set()
    children = value.get("children") or {}
    return {*children}.union(*(groups_in(inner) for inner in children.values()))


def completed(text: str) -> str:
    """Return an inventory with the groups that an example leaves out."""
    loaded = yaml.safe_load(text)
    lacking = set(GROUP_HOSTS) - groups_in(loaded["all"])
    if "dask_scheduler_address" in (loaded["all"].get("vars") or {}):
        lacking -= {"dask_scheduler"}
    for group in lacking:
        loaded["all"].setdefault("children", {})[group] = {"hosts": GROUP_HOSTS[group]}
    return yaml.safe_dump(loaded, sort_keys=False)


def checked(work: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run the collection's own checks of an inventory and its variables."""
    check = {"daskops.cluster.check_inventory": {}, "run_once": True}
    plays = [
        {"ansible.builtin.import_playbook": str(ROOT / "playbooks/_check_inventory.yml")},
        {"hosts": "dask_scheduler:dask_workers", "gather_facts": False, "tasks": [check]},
    ]
    (work / "play.yml").write_text(yaml.safe_dump(plays))
    return play(work / "play.yml", work, inventory(work, completed(text)), timeout=60)


def test_examples_with_variables_are_inventories():
    """Otherwise, nothing would check them."""
    others = [block for block in YAML_BLOCKS if not is_inventory(block)]
    assert [located(block) for block in others if re.search(r"^ *dask_\w+:", block.text, re.MULTILINE)] == []
    assert len(INVENTORIES) > 25


@pytest.mark.parametrize("block", INVENTORIES, ids=located)
def test_example_is_accepted(block, tmp_path):
    done = checked(tmp_path, block.text)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all: {vars: {dask_worker_treads: 2}}", "Did you mean dask_worker_threads?"),
        ("all: {vars: {dask_tls_days: many}}", "Give a whole number, 1 to 3650"),
        ("all: {vars: {dask_worker_pools: {a: {profil: io}}}}", "is not a setting of a pool"),
        ("all: {children: {dask_worker: {hosts: {a: }}}}", "Did you mean dask_workers?"),
        (
            "all: {vars: {dask_scheduler_address: tls://a:8786}, children: {dask_scheduler: {hosts: {a: }}}}",
            "is set for a scheduler that another system runs, but the group dask_scheduler has a",
        ),
    ],
)
def test_wrong_example_is_found(text, said, tmp_path):
    done = checked(tmp_path, text)
    assert done.returncode != 0 and said in done.stdout


@pytest.mark.parametrize("block", [one for one in ALL_BLOCKS if one.language == "python"], ids=located)
def test_python_example_compiles(block):
    compile(block.text, located(block), "exec")


def test_blocks_of_code_have_a_known_language():
    known = {"console", "yaml", "python", "text", "nginx", "{svgbob}", "{toctree}"}
    assert [located(block) for block in ALL_BLOCKS if block.language not in known] == []


# Ansible's settings


def test_settings_for_an_installed_collection_are_those_of_the_checkout():
    """The archive has no `ansible.cfg`. The options that are left out do not change what a run shows or costs."""
    (block,) = [block for block in ALL_BLOCKS if block.page == "docs/tutorial.md" and "[defaults]" in block.text]
    shown, real = configparser.RawConfigParser(), configparser.RawConfigParser()
    shown.read_string(block.text)
    real.read(ROOT / "ansible.cfg")
    for option in ("collections_path", "retry_files_enabled"):
        real.remove_option("defaults", option)
    assert {name: {**shown[name]} for name in shown} == {name: {**real[name]} for name in real}
    explained = set(re.findall(r"^\| `(\w+)` \|", (ROOT / block.page).read_text(), re.MULTILINE))
    assert {*shown["defaults"], *shown["connection"]} <= explained


# Dask's settings


def leaves(settings: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested settings by their dotted keys."""
    found: dict[str, object] = {}
    for key, value in settings.items():
        found.update(leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def shown_settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the key, the collection's value and Dask's value of each setting in the table of a page."""
    for first, *cells in re.findall(r"^\| (`[a-z.-]+`.*?) +\| (.*?) +\| (.*?) +\|", text, re.MULTILINE):
        keys = re.findall(r"`([a-z.-]+)`", first)
        keys[1:] = [f"{keys[0].rpartition('.')[0]}.{key}" for key in keys[1:]]
        ours, dasks = ([*one.split()] if len(keys) == len(one.split()) else [one] * len(keys) for one in cells)
        yield from zip(keys, ours, dasks, strict=True)


def as_shown(value: object) -> str:
    """Return a value as the table shows it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_settings_of_the_collection_and_of_dask_are_those_of_the_table():
    ours = {key: value for key, value in leaves(DEFAULTS["distributed"]).items() if not key.endswith(".routes")}
    table = list(shown_settings((ROOT / "docs/reference/dask-defaults.md").read_text()))
    assert {key: value for key, value, dummy in table} == {key: as_shown(value) for key, value in ours.items()}
    for key, value, dasks in table:
        default = as_shown(dask.config.get(f"distributed.{key}"))
        assert dasks == ("same" if default == value else default), key


# Coming from other ways to start Dask

COMING = (ROOT / "docs/how-to/coming-from-dask-ssh.md").read_text()


def rows_of(text: str, first: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first header is ``first``."""
    lines = iter(text.splitlines())
    assert any(line.startswith(f"| {first} |") for line in lines), f"no table of {first}"
    next(lines)  # the line below the header
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def named(text: str, first: str) -> list[str]:
    """Return the names in the first column of a table."""
    return [name for cell, *dummy in rows_of(text, first) for name in re.findall(r"`([^`]*)`", cell)]


def difference(found: list[str], real: set[str]) -> list[str]:
    """Return what is wrong with the names in a table: missing ones, unknown ones, and ones that it has twice."""
    missing = [f"{name} is missing" for name in sorted(real.difference(found))]
    unknown = [f"{name} does not exist" for name in sorted(set(found) - real)]
    return missing + unknown + [f"{name} is there twice" for name in sorted(set(found)) if found.count(name) > 1]


def options_of_dask_ssh() -> set[str]:
    """Return the options of the command, and its argument in capital letters."""
    parameters = dask_ssh_command.get_params(dask_ssh_command.make_context("dask ssh", ["host"]))
    return {one.opts[0] if one.param_type_name == "option" else one.name.upper() for one in parameters}


def test_every_option_of_dask_ssh_is_explained():
    assert len(options_of_dask_ssh()) > 15
    assert difference(named(COMING, "`dask ssh`"), options_of_dask_ssh()) == []


def test_missing_unknown_and_repeated_names_are_found():
    table = "| `dask ssh` | here |\n| --- | --- |\n| `--a` | b |\n| `--c`, `--a` | d |\n\n| `--e` | f |\n"
    wrong_names = ["--version is missing", "--c does not exist", "--a is there twice"]
    assert difference(named(table, "`dask ssh`"), {"--a", "--version"}) == wrong_names


def test_options_of_the_plugin_are_those_of_the_table():
    rows = rows_of(COMING, "`dask ssh`")
    told = {option.strip("`"): meaning for dummy, option, meaning in rows if option != "none"}
    assert {*told, "plugin", "scheduler_works"} == set(yaml.safe_load(dask_ssh.DOCUMENTATION)["options"])
    variables = {option: name for group in dask_ssh.VARIABLES.values() for option, name in group.items()}
    assert [option for option, name in variables.items() if f"`{name}`" not in told[option]] == []


def test_every_argument_of_ssh_cluster_is_explained():
    assert difference(named(COMING, "`SSHCluster`"), set(inspect.signature(SSHCluster).parameters)) == []


@pytest.mark.parametrize(
    ("table", "classes", "more"),
    [("worker_options", [Worker, Nanny], {"n_workers"}), ("scheduler_options", [Scheduler], set())],
)
def test_options_of_workers_and_schedulers_exist(table, classes, more):
    real = more.union(*(inspect.signature(one).parameters for one in classes))
    found = named(COMING, f"key of `{table}`")
    assert len(found) > 10 and [one for one in difference(found, real) if not one.endswith("missing")] == []


def test_hostfile_of_the_example_becomes_a_cluster(tmp_path):
    """The files of the page, as a reader writes them, pass the collection's own checks."""
    mine = [block for block in ALL_BLOCKS if block.page.endswith("coming-from-dask-ssh.md")]
    hostfile, options, settings = (block.text for block in mine if block.language in ("text", "yaml"))
    for file, text in {"hosts.txt": hostfile, "hosts.dask_ssh.yml": options, "settings.yml": settings}.items():
        (tmp_path / file).write_text(text)
    check = {"daskops.cluster.check_inventory": {}, "run_once": True}
    shown = ["dask_worker_count", "dask_worker_memory_reserve", "ansible_user", "inventory_dir"]
    show = {
        "ansible.builtin.debug": {"msg": [f"{{{{ inventory_hostname }}}} {name}={{{{ {name} }}}}" for name in shown]}
    }
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump(
            [
                {"ansible.builtin.import_playbook": str(ROOT / "playbooks/_check_inventory.yml")},
                {"hosts": "dask_scheduler:dask_workers", "gather_facts": False, "tasks": [check]},
                {"hosts": "dask_workers", "gather_facts": False, "tasks": [show]},
            ]
        )
    )
    inventories = [f"--inventory={tmp_path / file}" for file in ("hosts.dask_ssh.yml", "settings.yml")]
    done = play(tmp_path / "play.yml", tmp_path, *inventories, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for host in ("node2.example.org", "node3.example.org"):
        for value in (
            "dask_worker_count=4",
            "dask_worker_memory_reserve=8GiB",
            "ansible_user=ada",
            f"inventory_dir={tmp_path}",
        ):
            assert f"{host} {value}" in done.stdout
    assert "node1.example.org dask" not in done.stdout


# The changelog

CHANGELOG = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())
INTERNAL = "daskops.cluster.internal"


def introduced() -> dict[str, dict[str, str]]:
    """Return the descriptions of what all releases together introduced, by kind and name."""
    found: dict[str, dict[str, str]] = {}
    for release in CHANGELOG["releases"].values():
        listed = {"module": release.get("modules", []), **release.get("plugins", {}), **release.get("objects", {})}
        for kind, entries in listed.items():
            found.setdefault(kind, {}).update({entry["name"]: entry["description"] for entry in entries})
    return found


def described(folder: str) -> dict[str, str]:
    """Return the short descriptions of the plugins in a folder that are not internal, as the changelog has them."""
    texts = {path.stem: path.read_text() for path in ROOT.glob(f"plugins/{folder}/*.py")}
    docs = {
        name: yaml.safe_load(re.search(r'DOCUMENTATION = r"""(.*?)"""', text, re.DOTALL)[1])
        for name, text in texts.items()
    }
    return {
        name: f"{doc['short_description']}."
        for name, doc in docs.items()
        if INTERNAL not in doc.get("extends_documentation_fragment", [])
    }


@pytest.mark.parametrize(("kind", "folder"), [("module", "modules"), ("filter", "filter"), ("inventory", "inventory")])
def test_changelog_lists_the_plugins_that_users_call(kind, folder):
    assert described(folder) and introduced()[kind] == described(folder)


def test_changelog_lists_roles_and_playbooks():
    assert set(introduced()["role"]) == {path.name for path in ROOT.glob("roles/*")}
    assert set(introduced()["playbook"]) == {path.stem for path in ROOT.glob("playbooks/[!_]*.yml")}


def test_names_in_the_changelog_are_variables_of_the_collection():
    text = (ROOT / "CHANGELOG.rst").read_text()
    assert "``dask_ssh``" in text and unknown_names(text) == {"dask_ssh"}


# The generated parts


def test_every_variable_has_a_heading():
    assert {*SETTINGS} <= slugs((ROOT / "docs/reference/variables.md").read_text())


def test_messages_are_listed_with_their_remedy():
    text = (ROOT / "docs/reference/messages.md").read_text()
    assert "The group dask_workers has no host. Put at least one host into it." in text
    assert text.count("\n- ") > 150
    assert generator.ROOT == ROOT


@pytest.mark.parametrize("subject", reference.MESSAGES)
def test_every_subject_has_messages(subject):
    for path in reference.MESSAGES[subject]:
        assert reference.sentences(ROOT / "plugins" / path), f"{path} has no message"
