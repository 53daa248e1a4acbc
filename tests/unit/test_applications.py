# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own code: its identity, the environments that it fits, and its archive for hosts."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.applications import (
    content_id,
    installed_files,
    read_application,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils import applications
from ansible_collections.daskops.cluster.plugins.plugin_utils.applications import (
    Application,
    ApplicationError,
    application_of,
    hidden_modules,
    misfits,
    pack,
    read_wheel,
)
from hypothesis import given
from hypothesis import strategies as st
from sample_projects import write_project
from wheels import PYTHON, build_wheel, python

PACKAGES = {"dask": "2026.8.0", "numpy": "2.3.1"}


def application(*wheels, built=False):
    return Application([read_wheel(str(wheel), built) for wheel in wheels])


def of(*entries, build_lock="default", cache="/dev/null/cache"):
    return application_of([str(entry) for entry in entries], build_lock, "", str(cache))


def problems(*entries, **about):
    """Return the problems of entries of ``dask_application``."""
    with pytest.raises(ApplicationError) as error:
        of(*entries, **about)
    return error.value.problems


def only(sentences):
    """Return the only sentence."""
    (sentence,) = sentences
    return sentence


def rewrite(wheel, change):
    """Write the members of a wheel again, as ``change`` returns them from name and content; return its path."""
    with zipfile.ZipFile(wheel) as zipped:
        members = [(info, zipped.read(info)) for info in zipped.infolist()]
    with zipfile.ZipFile(wheel, "w") as zipped:
        for info, content in reversed(members):
            about, content = change(info, content)
            zipped.writestr(about, content)
    return wheel


# Identity


def test_times_and_order_of_a_wheel_are_not_its_content(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", "1.4", more={"analysis-1.4.data/purelib/more.py": "x = 1\n"})
    before = application(wheel).id

    def later(info, content):
        info.date_time = (2030, 1, 1, 0, 0, 0)
        info.compress_type = zipfile.ZIP_DEFLATED
        return info, b"analysis.py,,\n" if info.filename.endswith("/RECORD") else content

    digest = wheel.read_bytes()
    assert application(rewrite(wheel, later)).id == before and wheel.read_bytes() != digest


@pytest.mark.parametrize(
    "other",
    [
        {"source": "version = '1.4 '\n"},
        {"version": "1.5"},
        {"requires": ["numpy"]},
        {"more": {"analysis/data.txt": "1"}},
        {"more": {"analysis/data.txt": ""}},
    ],
)
def test_same_version_with_other_content_is_another_application(tmp_path, other):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = build_wheel(tmp_path / "one", "analysis", "1.4", more={"analysis/other.txt": "1"})
    two = build_wheel(tmp_path / "two", "analysis", **{"version": "1.4", "more": {"analysis/other.txt": "1"}, **other})
    assert application(one).id != application(two).id


def test_executable_files_and_further_wheels_are_content(tmp_path):
    wheel, more = build_wheel(tmp_path, "analysis"), build_wheel(tmp_path, "more")
    ids = [application(wheel).id, application(wheel, more).id]
    assert application(more, wheel).id == ids[1]

    def executable(info, content):
        info.external_attr = 0o755 << 16
        return info, content

    ids.append(application(rewrite(wheel, executable)).id)
    assert len(set(ids)) == 3 and all(len(one) == 12 for one in ids)
    assert application().id == "" and application().packages == {}


table = st.lists(st.tuples(st.text("abc/."), st.booleans(), st.text("0123", min_size=1)), unique_by=lambda row: row[0])


@given(table, st.randoms())
def test_id_does_not_depend_on_the_order_of_files(files, random):
    shuffled = list(files)
    random.shuffle(shuffled)
    assert content_id(files) == content_id(shuffled)
    assert content_id([*files, ("x-1.dist-info/RECORD", False, "1")]) == content_id(files)
    assert content_id([*files, ("x/RECORD", False, "1")]) != content_id(files)


# Wheels


def test_project_and_wheel_are_an_application(tmp_path, monkeypatch):
    project, wheel = write_project(tmp_path / "project"), build_wheel(tmp_path, "tools", "2.0")
    built = build_wheel(tmp_path, "analysis", "1.4")
    monkeypatch.setattr(applications.Builder, "wheel", lambda self, path: str(built) if path == str(project) else None)
    found = of(project, wheel, wheel)
    assert found.packages == {"analysis": "1.4", "tools": "2.0"} and found.modules == ["analysis", "tools"]
    assert [one.built for one in found.wheels] == [True, False]


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_damaged_wheel_is_rejected(tmp_path, content):
    path = tmp_path / "analysis-1.4-py3-none-any.whl"
    if content is None:
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("analysis.py", "")
    else:
        path.write_bytes(content)
    assert only(problems(path)) == f"dask_application: {path} is no valid wheel. Build it again."


@pytest.mark.parametrize("member", ["../x.py", "/etc/x.py", "a/../../x.py", "analysis//x.py", "a\\x.py"])
def test_wheel_with_files_outside_is_rejected(tmp_path, member):
    wheel = build_wheel(tmp_path, "analysis", more={member: ""})
    assert "outside of its directory" in only(problems(wheel))


def test_file_with_the_name_of_a_directory_of_data_is_left_out(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", more={"analysis-1.0.data": "x"})
    assert "analysis-1.0.data" not in read_wheel(str(wheel), False).files


@pytest.mark.parametrize("other", ["distributed-9.0-py3-none-any.whl", "analysis-2.0-py3-none-any.whl"])
def test_wheel_with_the_name_of_another_one_is_rejected(tmp_path, other):
    wheel = build_wheel(tmp_path, "analysis").rename(tmp_path / other)
    sentence = only(problems(wheel))
    assert f"{wheel} is analysis 1.0 by its metadata. Give it its own name back" in sentence


def test_file_that_is_also_a_directory_is_rejected(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", more={"a/b": "x", "a/b/c/d.py": "x"})
    assert f"{wheel} has a/b as a file and as a directory. Build it again." in only(problems(wheel))


def test_requirement_whose_marker_no_tool_can_evaluate_is_left_out(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", requires=["dask; python_version ~= 'x'"])
    assert misfits(application(wheel), {"w1": (PYTHON, {})}) == []


@pytest.mark.parametrize("entry", ["", " "])
def test_entry_without_a_path_is_rejected(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(write_project(tmp_path / "project"))
    assert only(problems(entry)) == "dask_application has an entry without a path. Remove it, or give the path."


def test_editable_wheel_is_rejected(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", more={"__editable__.analysis.pth": "/home/ada/analysis\n"})
    assert "installs __editable__.analysis.pth, which services do not read" in only(problems(wheel))


def test_scripts_and_data_of_environments_are_left_out(tmp_path):
    more = {f"analysis-1.0.data/{place}/x.py": "" for place in ("scripts", "data", "headers", "platlib")}
    assert sorted(read_wheel(str(build_wheel(tmp_path, "analysis", more=more)), False).files) == [
        "analysis-1.0.dist-info/METADATA",
        "analysis-1.0.dist-info/RECORD",
        "analysis-1.0.dist-info/WHEEL",
        "analysis.py",
        "x.py",
    ]


def test_wheels_that_conflict_are_rejected(tmp_path):
    (tmp_path / "other").mkdir()
    one, same = build_wheel(tmp_path, "analysis", "1.4"), build_wheel(tmp_path / "other", "analysis", "1.5")
    assert only(problems(one, same)) == (
        "dask_application: analysis-1.4-py3-none-any.whl and analysis-1.5-py3-none-any.whl are both analysis. Keep one of "
        "them."
    )
    tests = build_wheel(tmp_path, "tools", more={"tests/__init__.py": "", "tests/conftest.py": "x = 1\n"})
    others = build_wheel(tmp_path, "more", more={"tests/__init__.py": "", "tests/conftest.py": "x = 2\n"})
    assert "tools and more both install tests/conftest.py." in only(problems(tests, others))
    shared = build_wheel(tmp_path, "shared", more={"tests/__init__.py": "", "tests/other.py": ""})
    assert of(tests, shared).modules == ["shared", "tests", "tools"]
    ours = build_wheel(tmp_path, "ours", more={"daskops_runtime/__init__.py": ""})
    assert "ours has a module daskops_runtime, which is the collection's own. Rename it." in only(problems(ours))


def test_all_problems_are_reported(tmp_path):
    lock = tmp_path / "build.txt"
    found = problems(tmp_path / "gone", tmp_path, write_project(tmp_path / "project"), build_lock=str(lock))
    assert f"{tmp_path}/gone does not exist" in found[0] and "neither a wheel" in found[1]
    assert f"dask_application_build_lock ({lock}) does not exist on the controller" in found[2] and len(found) == 3
    lock.write_text("hatchling==1\n")
    (sentence,) = problems(tmp_path / "project", build_lock=str(lock))
    assert sentence.startswith(f"dask_application_build_lock ({lock}): line 1: 'hatchling==1' has no")


# Environments


def unfit(*wheels, packages=PACKAGES, on=PYTHON, built=False):
    return misfits(application(*wheels, built=built), {"w1": (on, packages), "w2": (on, packages)})


def test_application_without_wheels_fits():
    assert misfits(Application(), {"w1": (PYTHON, PACKAGES)}) == []


@pytest.mark.parametrize(
    "requires",
    [
        [],
        ["numpy"],
        ["NumPy>=2", "dask[array]>=2026"],
        ["numpy==2.3.*"],
        ["polars; python_version < '3.11'", "polars; sys_platform == 'win32'", "polars; extra == 'fast'"],
        ["not a requirement"],
    ],
)
def test_requirements_in_the_environment_are_accepted(tmp_path, requires):
    assert unfit(build_wheel(tmp_path, "analysis", "1.4", requires, requires_python=">=3.10")) == []


def test_requirements_of_each_other_are_accepted(tmp_path):
    wheels = build_wheel(tmp_path, "analysis", "1.4", ["tools>=2"]), build_wheel(tmp_path, "tools", "2.1", ["analysis"])
    assert unfit(*wheels) == []


def test_missing_requirements_are_named_together(tmp_path):
    requires = ["polars>=1", "numpy", "scikit-learn; python_version >= '3.11'"]
    assert only(unfit(build_wheel(tmp_path, "analysis", "1.4", requires))) == (
        "dask_application: analysis 1.4 needs polars>=1, scikit-learn, which the environment does not have. Add this to the "
        "environment, or change what the project requires."
    )


def test_requirements_in_other_versions_are_named_together(tmp_path):
    assert only(unfit(build_wheel(tmp_path, "analysis", "1.4", ["numpy<2", "dask>=2027,<2028"]))) == (
        "dask_application: analysis 1.4 needs other versions than the environment has: numpy<2 instead of 2.3.1, "
        "dask<2028,>=2027 instead of 2026.8.0. Change the environment, or what the project requires."
    )


def test_package_of_the_environment_is_no_application(tmp_path):
    found = only(unfit(build_wheel(tmp_path, "NumPy", "9.0")))
    assert found == (
        "dask_application: numpy 9.0 is also a package of the environment (2.3.1). Take it out of one of the two."
    )


def test_other_python_is_rejected(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", "1.4", requires_python=">=3.12")
    assert "analysis 1.4 needs Python >=3.12, and the environment has 3.11.2" in only(unfit(wheel))
    assert unfit(wheel, on=python("3.12.1")) == []


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("cp39-abi3-manylinux_2_34_x86_64", True),
        ("cp311-cp311-linux_x86_64", True),
        ("cp312-cp312-manylinux_2_17_x86_64", False),
        ("cp311-cp311-manylinux_2_39_x86_64", False),
        ("cp311-cp311-manylinux_2_17_aarch64", False),
        ("py3-none-win_amd64", False),
    ],
)
def test_wheels_are_for_the_hosts(tmp_path, tag, fits):
    found = unfit(build_wheel(tmp_path, "analysis", "1.4", tag=tag))
    assert found == [] if fits else "is not for Python 3.11.2 on x86_64 with glibc 2.36" in only(found)


def test_code_compiled_here_for_a_newer_system_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(applications, "own_python", lambda: {**PYTHON, "libc": ["glibc", "2.41"]})
    wheel = build_wheel(tmp_path, "analysis", "1.4", tag="cp311-cp311-linux_x86_64")
    assert "was compiled here with glibc 2.41, which is newer than glibc 2.36" in only(unfit(wheel, built=True))
    assert unfit(wheel) == []
    assert unfit(build_wheel(tmp_path, "pure"), built=True) == []


def test_hosts_are_named_if_only_some_do_not_fit(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", "1.4", ["polars"])
    hosts = {"w1": (PYTHON, PACKAGES), "w2": (PYTHON, {**PACKAGES, "polars": "1.0"}), "w3": (PYTHON, PACKAGES)}
    assert only(misfits(application(wheel), hosts)).startswith("w1, w3: dask_application: analysis 1.4 needs polars")


def test_modules_that_users_files_would_hide_are_named(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", more={"monitor/__init__.py": "", "data/x.txt": ""})
    assert list(hidden_modules(application(wheel), ["/preloads/other.py"])) == []
    sentence = only(hidden_modules(application(wheel), ["/preloads/other.py", "/preloads/monitor.py"]))
    assert sentence.startswith("/preloads/monitor.py has the name of a module of dask_application, monitor: services")


# The archive


def test_archive_has_the_files_and_their_id(tmp_path):
    more = {"analysis-1.4.data/purelib/more/__init__.py": "x = 1\n", "analysis-1.4.data/scripts/run": "#!python\n"}
    made = application(build_wheel(tmp_path, "analysis", "1.4", more=more))
    cache = tmp_path / "cache"
    archive = pack(made, str(cache))
    assert archive == str(cache / f"application-{made.id}.tar.gz") and os.listdir(cache) == [os.path.basename(archive)]
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "host")
    assert content_id(installed_files(str(tmp_path / "host/modules"))) == made.id
    assert read_application(str(tmp_path / "host")) == {"id": made.id, "packages": {"analysis": "1.4"}}
    assert (tmp_path / "host/modules/more/__init__.py").read_text() == "x = 1\n"
    assert not list((tmp_path / "host/modules").glob("**/run"))
    before = Path(archive).stat().st_mtime_ns
    assert pack(made, str(cache)) == archive and Path(archive).stat().st_mtime_ns == before


def test_unusable_cache_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ApplicationError, match="dask_cache .* cannot be used on the controller: .* Not a directory"):
        pack(application(build_wheel(tmp_path, "analysis")), str(tmp_path / "file/cache"))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"id": "a", "packages": 1}', b"\xff", None])
def test_damaged_application_counts_as_missing(tmp_path, content):
    if content is not None:
        (tmp_path / "application.json").write_bytes(content)
    assert read_application(str(tmp_path)) == {}
    (tmp_path / "application.json").write_text(json.dumps({"id": "a", "packages": {}}))
    assert read_application(str(tmp_path)) == {"id": "a", "packages": {}}
