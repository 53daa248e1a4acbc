# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments that exist on hosts: what a host says about one, and what the controller makes of it."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import existing_environments as on_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.existing_environments import (
    changed_in_place,
    conda_packages,
    differing_contents,
    drift,
    fingerprint,
    prefixes,
    unusable,
)
from conftest import ROOT
from packed_prefixes import LIBRARY, VERSION, make_conda, make_venv
from wheels import build_wheel

#: What an interpreter prints that is asked for its packages.
ANSWER = {
    **{name: "" for name in ("implementation", "prefix", "base_prefix")},
    **{name: [] for name in ("places", "conda", "by_conda")},
    "packages": {},
}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
USER = "nobody"
NO_SETUP: dict = {}
SITE = f"{LIBRARY}/site-packages"


def with_lines(*lines):
    script = (ROOT / "roles/config/files/setup.sh").read_text()
    return {"script": script, "lines": "".join(f"{line}\n" for line in lines)}


# On the host


@pytest.fixture(scope="module")
def shared():
    """Return a directory that every user can read."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def wheels(tmp_path):
    source = {"distributed": "import dask\n"}
    return [build_wheel(tmp_path, name, source=source.get(name)) for name in ("dask", "distributed", "Mine")]


@pytest.fixture
def venv(shared, wheels):
    prefix = make_venv(shared / "venv", wheels)
    yield prefix
    shutil.rmtree(prefix)


@as_root
def test_packages_are_read_as_the_user_and_nothing_is_written(venv):
    before = sorted(str(path) for path in venv.rglob("*"))
    about = on_host.inspect(str(venv), USER, [], NO_SETUP)
    assert about["packages"] == {"dask": "1.0", "distributed": "1.0", "mine": "1.0"}
    assert (about["changeable"], about["problem"], about["python"]) == ("", "", VERSION)
    assert (about["prefix"], about["base_prefix"]) == (str(venv), sys.base_prefix)
    assert about["conda"] == about["by_conda"] == []
    assert on_host.import_problem(str(venv), USER, [], NO_SETUP) == ""
    assert sorted(str(path) for path in venv.rglob("*")) == before


@as_root
def test_packages_of_conda_are_read(shared, wheels, tmp_path):
    prefix = make_conda(shared / "conda", wheels, tmp_path / "caches")
    (prefix / "bin/python3").symlink_to("python")
    (prefix / SITE / "dask-1.0.dist-info/INSTALLER").write_text("conda\n")
    about = on_host.inspect(str(prefix), USER, [], NO_SETUP)
    assert about["conda"] == ["liba-1.0-0", f"python-{VERSION}-0"] and about["by_conda"] == ["dask"]
    assert about["prefix"] == about["base_prefix"] == str(prefix)
    shutil.rmtree(prefix)


@as_root
@pytest.mark.parametrize("place", ["", "bin", SITE, "bin/python3"])
def test_environment_that_the_user_can_change_is_not_used(venv, place):
    path = venv / place
    if path.is_symlink():
        path.unlink()
        shutil.copy(os.path.realpath(sys.executable), path)
    path.chmod(0o777)
    about = on_host.inspect(str(venv), USER, [], NO_SETUP)
    assert about["changeable"] == str(path)
    (sentence,) = unusable("w1", f"dask_environment_path ({venv})", about)
    assert f"w1: dask_environment_path ({venv}) is not safe: dask_user can change {path}" in sentence


@as_root
def test_unsafe_interpreter_is_never_run(venv, shared):
    (venv / "bin/python3").unlink()
    (venv / "bin/python3").write_text(f"#!/bin/sh\ntouch {shared}/ran\n")
    (venv / "bin/python3").chmod(0o777)
    assert on_host.inspect(str(venv), USER, [], NO_SETUP)["changeable"] == str(venv / "bin/python3")
    assert not (shared / "ran").exists()


@as_root
def test_programs_run_as_the_user_and_not_as_root(venv):
    (venv / SITE / "distributed.py").write_text("import os\nassert os.geteuid() != 0 and os.getcwd() == '/'\n")
    assert on_host.import_problem(str(venv), USER, [], NO_SETUP) == ""
    (venv / SITE / "distributed.py").write_text("import a_library_that_is_missing\n")
    assert on_host.import_problem(str(venv), USER, [], NO_SETUP).endswith("No module named 'a_library_that_is_missing'")


def break_interpreter(text, mode=0o755):
    def change(prefix):
        (prefix / "bin/python3").unlink()
        (prefix / "bin/python3").write_text(text)
        (prefix / "bin/python3").chmod(mode)

    return change


@as_root
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda prefix: (prefix / "bin/python3").unlink(),
            "nobody cannot run {}/bin/python3 (No such file or directory)",
        ),
        (lambda prefix: prefix.chmod(0o700), "nobody cannot run {}/bin/python3 (Permission denied)"),
        (break_interpreter("#!/bin/sh\n", 0o644), "nobody cannot run {}/bin/python3 (Permission denied)"),
        (break_interpreter("#!/bin/sh\necho hello\n"), "bin/python3 is not a Python"),
        (break_interpreter("#!/bin/sh\necho '{\"packages\": 1}'\n"), "bin/python3 is not a Python"),
        (break_interpreter("#!/bin/sh\nhead -c 500000 /dev/zero | tr '\\0' '['\n"), "bin/python3 is not a Python"),
        (
            break_interpreter(f"#!/bin/sh\necho '{json.dumps({**ANSWER, 'python': '3'})}'\n"),
            "bin/python3 is not a Python",
        ),
        (break_interpreter("#!/bin/sh\necho what >&2; exit 3\n"), "bin/python3 ended with status 3: what"),
    ],
)
def test_environment_that_cannot_be_used(venv, change, said):
    change(venv)
    about = on_host.inspect(str(venv), USER, [], NO_SETUP)
    venv.chmod(0o755)
    assert about["problem"] == said.format(venv)
    (sentence,) = unusable("w1", "dask_environment_path (/x)", about)
    assert sentence.startswith(f"w1: dask_environment_path (/x) cannot be used: {about['problem']}. Make it usable")


@as_root
def test_interpreter_that_waits_is_given_up(venv, monkeypatch):
    break_interpreter("#!/bin/sh\nsleep 60\n")(venv)
    run = on_host.run
    monkeypatch.setattr(on_host, "run", lambda *arguments, timeout: run(*arguments, timeout=0.5))
    assert on_host.inspect(str(venv), USER, [], NO_SETUP)["problem"] == "it did not answer within 0.5 s"


@as_root
def test_lines_of_shell_run_first(venv, shared):
    (venv / "bin/python3").rename(venv / "bin/real")
    (venv / "bin/python3").write_text('#!/bin/sh\n[ "$LIBRARY" = found ] || exit 9\nexec "$(dirname "$0")/real" "$@"\n')
    (venv / "bin/python3").chmod(0o755)
    assert on_host.inspect(str(venv), USER, [], NO_SETUP)["problem"] == "bin/python3 ended with status 9"
    more = shared / "more"
    more.mkdir()
    shutil.copytree(venv / SITE / "Mine-1.0.dist-info", more / "mine-7.dist-info")
    (more / "mine-7.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: Mine\nVersion: 7\n")
    lines = with_lines("export LIBRARY=found", f"export PYTHONPATH={more}", "test $DASKOPS_ENVIRONMENT = " + str(venv))
    about = on_host.inspect(str(venv), USER, [], lines)
    # The package that is imported comes from the directory that the lines add.
    assert about["problem"] == "" and about["packages"]["mine"] == "7"
    assert on_host.import_problem(str(venv), USER, [], lines) == ""
    problem = on_host.inspect(str(venv), USER, [], with_lines("true", "echo why; false"))["problem"]
    assert problem.startswith("dask_environment_setup: line 2 (echo why; false) ended with status 1.")
    assert problem.endswith("Its output: why")
    assert not [name for name in os.listdir("/run") if name.startswith("daskops-setup-")]
    shutil.rmtree(more)


def test_packages_with_unusual_names_are_left_out():
    answer = {**ANSWER, "python": "3.12.4", "packages": {"dask": "1", "--index-url": "1", "x": "1 --hash", "é": "1"}}
    assert on_host.valid(answer)["packages"] == {"dask": "1"}


# On the controller

ABOUT = {
    **on_host.UNKNOWN,
    "python": "3.12.4",
    "implementation": "cpython",
    "prefix": "/nfs/env-1",
    "base_prefix": "/nfs/env-1",
    "packages": {"dask": "2026.8.0", "distributed": "2026.8.0"},
    "conda": ["libgdal-3.8.0-h1_0", "odd"],
}


def about(**changes):
    return {**ABOUT, **changes}


def test_fingerprint_depends_on_python_and_all_versions():
    same = about(prefix="/elsewhere", by_conda=["dask"])
    others = [
        about(python="3.12.5"),
        about(implementation="pypy"),
        about(packages={**ABOUT["packages"], "dask": "2026.8.1"}),
        about(packages={"distributed": "2026.8.0"}),
        about(conda=["libgdal-3.8.0-h2_0", "odd"]),
        about(conda=[]),
    ]
    assert fingerprint(same) == fingerprint(ABOUT)
    assert len({fingerprint(one) for one in [ABOUT, *others]}) == 7


def test_packages_of_conda_have_the_form_of_a_bill_of_materials():
    (gdal, odd) = conda_packages(ABOUT)
    assert (gdal["name"], gdal["version"], gdal["build"]) == ("libgdal", "3.8.0", "h1_0")
    assert (odd["name"], odd["version"]) == ("odd", "")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (about(python="3.9.2"), "has cpython 3.9.2; Dask needs CPython 3.10 or newer"),
        (about(implementation="pypy"), "has pypy 3.12.4; Dask needs CPython"),
        (about(packages={"dask": "1"}), "does not contain dask and distributed, which the services run"),
        (about(prefix="/with space"), "is in '/with space', with the interpreter of '/nfs/env-1'"),
    ],
)
def test_environment_without_what_services_need_is_rejected(found, said):
    (sentence,) = unusable("w1", "dask_environment_path (/nfs/env)", found)
    assert sentence.startswith(f"w1: dask_environment_path (/nfs/env) {said}")


def test_usable_environment_is_accepted():
    assert list(unusable("w1", "dask_environment_path (/nfs/env)", ABOUT)) == []


def test_hosts_with_other_packages_are_named():
    infos = {name: {"environment_paths": {"/nfs/env": ABOUT}} for name in "abc"}
    assert list(differing_contents("/nfs/env", infos)) == []
    other = about(packages={"dask": "2026.8.1", "distributed": "2026.8.0"}, python="3.12.5")
    infos["b"] = {"environment_paths": {"/nfs/env": other}}
    (sentence,) = differing_contents("/nfs/env", infos)
    assert sentence == (
        "b: dask_environment_path (/nfs/env) has other packages than on the other hosts: Python cpython 3.12.5 (others: "
        "cpython 3.12.4), dask 2026.8.1 (others: 2026.8.0). Install the same versions everywhere, or name a directory that "
        "all hosts share."
    )
    many = about(packages={**ABOUT["packages"], **{f"p{number}": "1" for number in range(30)}})
    infos["b"] = {"environment_paths": {"/nfs/env": many}}
    (sentence,) = differing_contents("/nfs/env", infos)
    assert ", 20 more. Install" in sentence
    assert list(differing_contents("", {"a": {}})) == []


@pytest.mark.parametrize(
    ("path", "found", "expected"),
    [
        ("/nfs/env", ABOUT, ["/nfs/env", "/nfs/env-1"]),
        ("/nfs/env/", about(prefix="/nfs/env", base_prefix="/usr"), ["/nfs/env", "/usr"]),
        ("/usr", about(prefix="/usr", base_prefix="/usr"), ["/usr"]),
        ("/apps/dask", about(prefix="/apps/dask", base_prefix="/apps"), ["/apps"]),
        ("/apps/dask", about(prefix="/apps/dask", base_prefix="/"), ["/apps/dask"]),
    ],
)
def test_sandbox_shows_the_environment_and_its_interpreter(path, found, expected):
    assert prefixes(path, found) == expected


def host(about_now, current="e1", **more):
    """Return a host that runs a release of environment ``e1``, which was made of `ABOUT`."""
    description = {
        "path": "/nfs/env", "fingerprint": fingerprint(ABOUT), "python": ABOUT["python"], "packages": ABOUT["packages"]
    }  # fmt: skip
    return {
        "environments": {"e1": description, "locked": {"lock": "abc", "python": "3.11.2", "packages": {}}},
        "environment_paths": {"/nfs/env": about_now},
        "current": {"id": "r1", "environment": current},
        **more,
    }


NEWER = about(packages={"dask": "2026.8.1", "distributed": "2026.8.0"})
RELEASE = {"id": "r1", "environment": "e1"}


def test_changed_packages_under_services_are_reported():
    assert drift({"a": host(ABOUT)}, {"a": RELEASE}) == []
    infos = {"a": host(NEWER), "b": host(NEWER), "c": host(ABOUT)}
    (sentence,) = drift(infos, dict.fromkeys(infos, RELEASE))
    assert sentence == (
        "The environment /nfs/env has other packages than the services were started with: dask 2026.8.1 (was 2026.8.0), on "
        "a, b. Run site.yml, which restarts the services with what is there now."
    )
    (sentence,) = drift({"a": host(about(conda=[]))}, {"a": RELEASE})
    assert "were started with: packages of conda, on a." in sentence
    (sentence,) = drift({"a": host(about(problem="it cannot be read (Stale file handle)"))}, {"a": RELEASE})
    assert sentence.startswith(
        "The environment /nfs/env cannot be used any more: it cannot be read (Stale file handle), on a"
    )


def test_release_of_another_environment_does_not_drift():
    assert drift({"a": host(NEWER)}, {"a": {"id": "r2", "environment": "locked"}}) == []
    assert drift({"a": host(NEWER)}, {"a": {"id": "r2", "environment": "new"}}) == []
    assert drift({"a": host(NEWER)}, {}) == []
    assert drift({"a": {"unreachable": True}}, {"a": RELEASE}) == []


def test_rollback_to_packages_that_no_longer_exist_is_rejected():
    before = {"id": "r0", "environment": "e1"}
    infos = {"a": host(NEWER, "locked"), "b": host(ABOUT, "locked"), "c": host(NEWER)}
    (sentence,) = changed_in_place(infos, {"a": before, "b": before, "c": infos["c"]["current"]})
    assert sentence.startswith(
        "a: the packages of the previous release were changed in their directory, and a rollback"
    )
    assert list(changed_in_place({"b": infos["b"]}, {"b": before})) == []
