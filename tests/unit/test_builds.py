# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels that are really built with pip, from source archives and repositories on this machine."""

import os
import re
import zipfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.builds import build_wheel, built_wheel
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import PackagesError
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import own_python
from sources import commit_all, hash_of, write_project, write_sdist

OWN = own_python()
#: The tag of a wheel that is compiled by the Python of this machine, without a promise about the C library.
OWN_TAG = "cp{0}{1}-cp{0}{1}-linux_{2}".format(*OWN["version"].split(".")[:2], OWN["machine"])
OTHER_PYTHON = {**OWN, "version": "3.99.0"}


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    """Run pip and git without the settings of this machine and without an index, and count builds."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("BUILD_LOG", str(tmp_path / "builds"))
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


def builds(tmp_path):
    return len((tmp_path / "builds").read_text().splitlines()) if (tmp_path / "builds").exists() else 0


def build(line, tmp_path, python=OWN, options=(), index_url=""):
    return build_wheel(line, options, str(tmp_path / "cache"), index_url, python, OWN)


def by_path(path):
    return f"mycode @ {path.as_uri()} --hash={hash_of(path)}"


def test_source_is_built_once(tmp_path):
    path = write_sdist(tmp_path)
    line = by_path(path)
    assert built_wheel(str(tmp_path / "cache"), line, OWN) is None
    wheel = build(line, tmp_path)
    assert Path(wheel).name == "mycode-1.0-py3-none-any.whl" and builds(tmp_path) == 1
    path.unlink()
    # Pure Python is for all hosts.
    other = {**OTHER_PYTHON, "machine": "aarch64", "libc": ["musl", "1.2"]}
    assert (
        build(line, tmp_path)
        == build(line, tmp_path, other)
        == built_wheel(str(tmp_path / "cache"), line, OWN)
        == wheel
    )
    assert builds(tmp_path) == 1
    assert [path.name for path in (tmp_path / "cache/wheels").iterdir()] == [Path(wheel).parent.name]


def test_wheel_of_other_content_is_another_one(tmp_path):
    line = by_path(write_sdist(tmp_path))
    wheel = build(line, tmp_path)
    again = by_path(write_sdist(tmp_path, source="changed = True"))
    assert again != line and build(again, tmp_path) != wheel
    with zipfile.ZipFile(build(again, tmp_path)) as zipped:
        assert b"changed = True" in zipped.read("mycode.py")
    # Another Python builds its own.
    assert built_wheel(str(tmp_path / "cache"), line, OTHER_PYTHON) is None


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_hash_of_another_algorithm_is_checked(tmp_path, algorithm):
    path = write_sdist(tmp_path)
    line = f"mycode @ {path.as_uri()} --hash={hash_of(path, algorithm)}"
    write_sdist(tmp_path, source="changed = True")
    with pytest.raises(
        PackagesError, match="mycode does not match its hash in the lock: find out why before you use it"
    ):
        build(line, tmp_path)
    # Nothing of it has run, and nothing is left.
    assert builds(tmp_path) == 0 and not list((tmp_path / "cache/wheels").iterdir())
    write_sdist(tmp_path)
    assert build(f"mycode @ {path.as_uri()} --hash={hash_of(path, algorithm)}", tmp_path)


def test_commit_of_git_is_built_once(tmp_path):
    project = write_project(tmp_path / "repository" / "python", source="one = 1")
    first = commit_all(project.parent)
    write_project(project, source="two = 2")
    second = commit_all(project.parent)
    url = project.parent.as_uri()
    contents = []
    for commit in (first, second, first):
        with zipfile.ZipFile(build(f"mycode @ git+{url}@{commit}#subdirectory=python", tmp_path)) as zipped:
            contents.append(zipped.read("mycode.py").splitlines()[1])
    assert contents == [b"one = 1", b"two = 2", b"one = 1"]
    assert builds(tmp_path) == 2
    # The same commit of another address is the same source.
    assert built_wheel(str(tmp_path / "cache"), f"mycode @ git+ssh://git@a.example/x@{first}#subdirectory=python", OWN)


@pytest.mark.parametrize(
    ("change", "python"),
    [
        ({}, OWN),
        ({}, {**OWN, "libc": [OWN["libc"][0], "2.99"]}),
        ({}, {**OWN, "version": OWN["version"].rpartition(".")[0] + ".99"}),
        ({"tag": f"cp39-abi3-linux_{OWN['machine']}"}, OTHER_PYTHON),
        # The build says which C library it needs.
        ({"tag": f"cp39-abi3-manylinux_2_17_{OWN['machine']}"}, {**OWN, "libc": [OWN["libc"][0], "2.20"]}),
    ],
)
def test_compiled_wheel_for_hosts_like_the_controller(tmp_path, change, python):
    assert build(by_path(write_sdist(tmp_path, **{"tag": OWN_TAG, **change})), tmp_path, python)


@pytest.mark.parametrize(
    "python",
    [
        OTHER_PYTHON,
        {**OWN, "machine": "s390x"},
        {**OWN, "libc": [OWN["libc"][0], "2.17"]},
        {**OWN, "libc": ["musl", "1.2"]},
    ],
)
def test_compiled_wheel_for_other_hosts_is_rejected(tmp_path, python):
    line = by_path(write_sdist(tmp_path, tag=OWN_TAG))
    with pytest.raises(PackagesError) as error:
        build(line, tmp_path, python)
    libc = " ".join(OWN["libc"])
    assert str(error.value) == (
        f"mycode is compiled for the controller when it is built (mycode-1.0-{OWN_TAG}.whl: Python {OWN['version']} on "
        f"{OWN['machine']} with {libc}), and hosts have Python {python['version']} on {python['machine']} with "
        f"{' '.join(python['libc'])}: run Ansible where Python and platform are those of the hosts, or build the wheel on a "
        "host and write the wheel's path in requirements.in"
    )


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (
            {"action": "raise SystemExit('no compiler here, https://ada:canary@a.example')"},
            "mycode could not be built on the controller: .*no compiler here, https://[*]{4}@a.example.*Install what the",
        ),
        (
            {"wheel_name": "other"},
            "the source of mycode makes a wheel of another name or version than the lock says: make the lock again",
        ),
        (
            {"requires": ["a-build-tool"]},
            "mycode could not be built on the controller: .*a-build-tool.*Install what the",
        ),
    ],
)
def test_failed_build_is_reported(tmp_path, about, said):
    line = by_path(write_sdist(tmp_path, **about))
    with pytest.raises(PackagesError, match=f"(?s)^{said}") as error:
        build(line, tmp_path)
    assert "canary" not in str(error.value)
    assert not list((tmp_path / "cache/wheels").iterdir())


def test_source_for_another_python_is_reported(tmp_path):
    project = write_project(tmp_path / "repository", metadata="Requires-Python: >=3.99\n")
    commit = commit_all(project)
    with pytest.raises(PackagesError, match=f"mycode needs Python >=3.99 to be built, not {re.escape(OWN['version'])}"):
        build(f"mycode @ git+{project.as_uri()}@{commit}", tmp_path)


def test_package_without_source_is_reported(tmp_path):
    (tmp_path / "links").mkdir()
    with pytest.raises(
        PackagesError, match="the index has no source of mycode==1.0, which dask_environment_build names"
    ):
        build(f"mycode==1.0 --hash=sha256:{'a' * 64}", tmp_path, options=[f"--find-links {tmp_path}/links"])


def test_build_uses_the_options_of_the_lock_and_the_pinned_source(tmp_path):
    (tmp_path / "my links").mkdir()
    path = write_sdist(tmp_path / "my links")
    wheel = build(f"mycode==1.0 --hash={hash_of(path)}", tmp_path, options=[f"--find-links '{tmp_path}/my links'"])
    assert Path(wheel).name == "mycode-1.0-py3-none-any.whl"
