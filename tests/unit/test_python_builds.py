# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds of CPython: which one hosts get, and fetching it with the real uv from directories and servers on this machine."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import python_builds
from ansible_collections.daskops.cluster.plugins.plugin_utils.python_builds import (
    Build,
    BuildError,
    Source,
    Wanted,
    build_of,
    newest,
    provide,
)
from hypothesis import given
from hypothesis import strategies as st
from python_archives import MACHINE, VERSION, build_relocatable, file_name, program, sha256_of, write_archive
from test_packages import served
from wheels import lock_line, repack

TAG = "20261129"
BOTH = ("x86_64", "aarch64")
OTHER = {"x86_64": "0" * 64, "aarch64": "1" * 64}


@pytest.fixture(scope="session")
def uv_wheel(tmp_path_factory):
    return repack(tmp_path_factory.mktemp("uv"), "uv")


@pytest.fixture
def uv(uv_wheel, tmp_path, monkeypatch):
    """Let pip find uv alone, and let uv have no network."""
    (tmp_path / "tools.txt").write_text(lock_line(uv_wheel))
    monkeypatch.setattr(python_builds, "TOOLS_LOCK", str(tmp_path / "tools.txt"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(uv_wheel.parent))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("UV_PYTHON_INSTALL_MIRROR", raising=False)


@pytest.fixture
def without_uv(monkeypatch):
    monkeypatch.setattr(python_builds, "_uv", None)


@pytest.fixture
def source(tmp_path):
    """Return a function that makes a source with a cache of its own."""
    return lambda mirror="", sha256=None: Source(str(mirror), sha256 or {}, str(tmp_path / "cache"), "")


@pytest.fixture
def mirror(tmp_path):
    """Return a function that puts a tiny archive into a directory, in a directory of its date, and returns its path."""

    def put(version="3.11.2", tag=TAG, machine="x86_64", kind="install_only_stripped", flat=False):
        directory = tmp_path / "mirror" / ("" if flat else tag)
        directory.mkdir(parents=True, exist_ok=True)
        return write_archive(directory / file_name(version, tag, machine, kind), program(version, machine))

    (tmp_path / "mirror").mkdir()
    put.directory = tmp_path / "mirror"
    return put


# The choice of a build

VERSIONS = st.sampled_from(["3.10.2", "3.10.11", "3.11.2", "3.13.5"])
BUILDS = st.lists(
    st.builds(
        lambda version, tag, machine, known: Build(version, tag, machine, "f", known=known),
        VERSIONS, st.sampled_from(["20260101", TAG]), st.sampled_from(BOTH), st.booleans(),
    )
)  # fmt: skip


@given(BUILDS, st.lists(st.sampled_from(["3.10", "3.11", "3.11.2", "3.10.2+20261129", ""]), min_size=1),
       st.sets(st.sampled_from(BOTH), min_size=1))  # fmt: skip
def test_newest_build_of_the_best_version_is_chosen_for_all_architectures(builds, wanted, machines):
    found = newest(builds, wanted, machines)
    keys = {machine: {build.newness[:2] for build in builds if build.machine == machine} for machine in machines}
    everywhere = set.intersection(*keys.values())
    for version in wanted:
        good = {build.newness[:2] for build in builds if build.satisfies(version)} & everywhere
        if good:
            assert set(found) == machines
            assert {build.newness[:2] for build in found.values()} == {max(good)}
            assert all(build.machine == machine for machine, build in found.items())
            break
    else:
        assert found == {}


def test_numbers_of_versions_are_compared():
    builds = [Build(version, TAG, "x86_64", "f") for version in ("3.13.9", "3.13.10", "3.9.25")]
    assert newest(builds, ["3.13"], ["x86_64"])["x86_64"].version == "3.13.10"
    assert newest(builds, [""], ["x86_64"])["x86_64"].version == "3.13.10"
    assert newest(builds, ["3.1"], ["x86_64"]) == {}


@pytest.mark.parametrize(
    "file, version",
    [
        (file_name("3.11.2"), "3.11.2"),
        (file_name("3.11.2").replace("+", "%2B"), "3.11.2"),
        (file_name("3.11.2", kind="install_only"), "3.11.2"),
        (file_name("3.14.0rc1"), None),
        (file_name("3.13.0", kind="freethreaded-install_only_stripped"), None),
        ("cpython-3.13.0+20261129-x86_64-unknown-linux-musl-install_only.tar.gz", None),
        ("SHA256SUMS", None),
    ],
)
def test_names_of_archives_are_read(file, version):
    build = build_of(file)
    assert (build and build.version) == version


def test_name_changes_with_the_content():
    known = Build("3.11.2", TAG, "x86_64", "f", known=True)
    assert known.name == "3.11.2+20261129-x86_64"
    names = {Build("3.11.2", TAG, "x86_64", "f", sha256=digit * 64).name for digit in "ab"}
    assert names == {"3.11.2+20261129-x86_64-aaaaaaaaaaaa", "3.11.2+20261129-x86_64-bbbbbbbbbbbb"}


# The builds that uv knows


def test_uv_knows_builds_for_both_architectures(uv, source):
    found = source().find(["3.13"], BOTH)
    assert set(found) == set(BOTH)
    (version,) = {build.version for build in found.values()}
    assert version.startswith("3.13.") and all(build.known and not build.sha256 for build in found.values())


def test_uv_is_asked_once(uv, source, monkeypatch):
    before = source().find(["3.12", "3.13"], BOTH)
    monkeypatch.setattr(python_builds, "_uv", None)
    assert source().find(["3.12", "3.13"], BOTH) == before


def test_setting_of_the_user_does_not_change_what_uv_knows(uv, source, monkeypatch, tmp_path):
    (tmp_path / "downloads.json").write_text("{}")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(tmp_path / "downloads.json"))
    assert source().find(["3.13"], ["x86_64"])


def test_version_that_does_not_exist_is_rejected(uv, source):
    with pytest.raises(BuildError, match="there is no CPython 3.13.99 for aarch64 and x86_64. Choose another version"):
        source().find(["3.13.99"], BOTH)


def test_build_that_uv_does_not_know_needs_a_hash(uv, source):
    with pytest.raises(
        BuildError, match=r"uv does not know the hash of cpython-3.13.5\+20200101-x86_64.*\. Set dask_python_sha256"
    ):
        source().find(["3.13.5+20200101"], ["x86_64"])
    found = source(sha256=OTHER).find(["3.13.5+20200101"], BOTH)
    assert {machine: build.sha256 for machine, build in found.items()} == OTHER
    assert not any(build.known for build in found.values())


def test_missing_uv_is_reported(uv, source, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(BuildError, match="uv, which fetches CPython, is missing: the index has no wheel of uv"):
        source().find(["3.13"], BOTH)


# A directory


def test_newest_build_of_a_directory_is_found(mirror, source, without_uv):
    for version, tag in (("3.11.2", "20260101"), ("3.11.2", TAG), ("3.10.9", TAG)):
        mirror(version, tag)
    mirror("3.11.3", flat=True)
    mirror("3.12.1", machine="aarch64")
    (mirror.directory / "20250101").mkdir()
    mirror("3.11.9").rename(mirror.directory / "20250101" / file_name("3.11.9"))  # not where uv would look
    found = source(mirror.directory, OTHER).find(["3.11"], ["x86_64"])["x86_64"]
    assert (found.version, found.tag, found.path) == ("3.11.3", TAG, str(mirror.directory / file_name("3.11.3")))
    found = source(mirror.directory, OTHER).find(["3.11.2+20260101"], ["x86_64"])["x86_64"]
    assert found.path == str(mirror.directory / "20260101" / file_name("3.11.2", "20260101"))
    assert source(mirror.directory, OTHER).find(["3.14", "3.13", ""], ["aarch64"])["aarch64"].version == "3.12.1"


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/", "~/mirror", "mirror"])
def test_directory_may_be_written_in_several_ways(mirror, source, without_uv, monkeypatch, form):
    monkeypatch.setenv("HOME", str(mirror.directory.parent))
    monkeypatch.chdir(mirror.directory.parent)
    mirror()
    assert source(form.format(mirror.directory), OTHER).find(["3.11"], ["x86_64"])


def test_directory_without_the_build_is_rejected(mirror, source, without_uv):
    empty = rf"{mirror.directory} has no CPython 3.12 for aarch64 and x86_64, but no build at all. Add archives"
    with pytest.raises(BuildError, match=empty):
        source(mirror.directory, OTHER).find(["3.12"], BOTH)
    mirror("3.12.1")
    with pytest.raises(BuildError, match=r"but 3\.12\.1\+20261129 for x86_64\. Add archives"):
        source(mirror.directory, OTHER).find(["3.12"], BOTH)


def test_directory_that_does_not_exist_is_named(source, without_uv, tmp_path):
    message = f"^{tmp_path}/nowhere is not a directory on the controller. Correct dask_python_mirror, or create it$"
    with pytest.raises(BuildError, match=message):
        source(tmp_path / "nowhere", OTHER).find(["3.12"], ["x86_64"])


def test_build_of_a_directory_is_copied_and_checked(mirror, source, without_uv, tmp_path):
    archive = mirror()
    sha256 = sha256_of(archive)
    here = source(mirror.directory, {"x86_64": sha256})
    build = here.find(["3.11"], ["x86_64"])["x86_64"]
    path, found = here.fetch(build)
    assert found == sha256 and path == str(tmp_path / f"cache/python-{build.name}-{sha256}.tar.gz")
    archive.unlink()
    assert here.fetch(build) == (path, sha256)  # from the cache
    assert {entry.name for entry in (tmp_path / "cache").iterdir()} == {path.rpartition("/")[2], "locks"}


def test_build_of_a_directory_with_another_hash_is_rejected(mirror, source, without_uv, tmp_path):
    sha256 = sha256_of(mirror())
    here = source(mirror.directory, OTHER)
    build = here.find(["3.11"], ["x86_64"])["x86_64"]
    with pytest.raises(
        BuildError, match=f"has the SHA-256 {sha256}, but dask_python_sha256 has another one. Find out why"
    ):
        here.fetch(build)
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["locks"]


def known_build(uv_source):
    """Return a build that uv knows."""
    return uv_source.find(["3.13"], ["x86_64"])["x86_64"]


def test_build_in_the_cache_with_another_hash_is_rejected(source, tmp_path):
    # The name of a build that uv knows has no hash.
    build = Build("3.11.2", TAG, "x86_64", file_name("3.11.2"), known=True)
    (tmp_path / "cache").mkdir()
    archive = tmp_path / "cache" / f"python-{build.name}-{'a' * 64}.tar.gz"
    archive.touch()
    assert source().fetch(build) == source().fetch(replace(build, sha256="a" * 64)) == (str(archive), "a" * 64)
    with pytest.raises(
        BuildError, match=f"in dask_cache has the SHA-256 {'a' * 64}, but dask_python_sha256 has another"
    ):
        source().fetch(replace(build, sha256="b" * 64))


def test_password_of_the_mirror_is_not_shown(source):
    for password in ("secret", "sec/ret", "se@cret"):
        place = source(f"https://ada:{password}@example.org/pythons").place
        assert place == "https://example.org/pythons"


def test_uv_checks_a_build_of_a_directory_that_it_knows(uv, mirror, source, tmp_path):
    known = known_build(source())
    mirror(known.version, known.tag)
    here = source(mirror.directory)
    build = here.find([known.version], ["x86_64"])["x86_64"]
    assert build.known and build.name == known.name
    with pytest.raises(
        BuildError, match=f"{known.version}.* of {mirror.directory} does not match its hash in uv. Find out why"
    ):
        here.fetch(build)
    assert not list((tmp_path / "cache").glob("python-3*"))


def test_directory_needs_a_hash_for_what_uv_does_not_know(uv, mirror, source):
    mirror("3.11.2")
    with pytest.raises(
        BuildError, match="uv does not know the hash of .*Set dask_python_sha256 to its SHA-256, by arch"
    ):
        source(mirror.directory).find(["3.11"], ["x86_64"])


# A server


@pytest.fixture
def own_build(tmp_path):
    """Return the directory of a mirror with a real interpreter of a build that uv does not know, and its SHA-256."""
    directory = tmp_path / "own" / TAG
    directory.mkdir(parents=True)
    archive = build_relocatable(directory)
    sha256 = sha256_of(archive)
    archive.rename(directory / file_name(VERSION, TAG, MACHINE))
    return directory.parent, sha256


def test_own_build_of_a_mirror_is_fetched(uv, own_build, source):
    directory, sha256 = own_build
    with served(directory) as url:
        here = source(url.replace("//", "//somebody:canary@"), {MACHINE: sha256})
        build = here.find([f"{VERSION}+{TAG}"], [MACHINE])[MACHINE]
        path, found = here.fetch(build)
    assert found == sha256 == sha256_of(directory / TAG / file_name(VERSION, TAG, MACHINE))
    with open(path, "rb") as file:
        assert file.read() == (directory / TAG / file_name(VERSION, TAG, MACHINE)).read_bytes()


def test_own_build_of_a_mirror_with_another_hash_is_rejected(uv, own_build, source, tmp_path):
    with served(own_build[0]) as url:
        here = source(url, {MACHINE: "0" * 64})
        build = here.find([f"{VERSION}+{TAG}"], [MACHINE])[MACHINE]
        with pytest.raises(BuildError, match=f"of {url} does not match its hash in dask_python_sha256. Find out why"):
            here.fetch(build)
    assert not list((tmp_path / "cache").glob("python-3*"))


def test_mirror_without_the_build_is_reported(uv, source, tmp_path):
    with served(tmp_path) as url:
        here = source(url.replace("//", "//somebody:canary@"))
        build = known_build(here)
        with pytest.raises(BuildError) as error:
            here.fetch(build)
    message = str(error.value)
    assert message.startswith(f"CPython {build.version} for x86_64 cannot be fetched from {url} (")
    assert "404" in message and "canary" not in message
    assert f"dask_python_mirror to a mirror, or to a directory on the controller with {build.file}, or" in message


def test_password_of_the_mirror_is_in_no_command_line(uv, source, tmp_path, monkeypatch):
    commands = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options)
    )
    with served(tmp_path) as url:
        here = source(url.replace("//", "//somebody:canary@"))
        with pytest.raises(BuildError):
            here.fetch(known_build(here))
    assert any("install" in command for command in commands)
    assert "canary" not in str(commands)


def test_failure_without_a_mirror_is_one_sentence_and_a_remedy(uv, source):
    build = known_build(source())
    found, (problem,) = provide({"w1": Wanted((build.version,), "x86_64", [])}, source())
    assert found == {}
    assert problem.startswith(
        f"dask_python ({build.version}): CPython {build.version} for x86_64 cannot be fetched from the internet ("
    )
    assert problem.endswith("or install one version of Python on all hosts, and set dask_python to its name or path.")
    assert "\n" not in problem and "://" not in problem and "  " not in problem


def test_mirror_of_uv_applies_without_another_one(uv, own_build, source, monkeypatch):
    directory, sha256 = own_build
    with served(directory) as url:
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", url)
        here = source(sha256={MACHINE: sha256})
        assert here.fetch(here.find([f"{VERSION}+{TAG}"], [MACHINE])[MACHINE])[1] == sha256


# All hosts


def test_hosts_get_the_build_of_their_architecture(mirror, source, without_uv):
    sha256 = {machine: sha256_of(mirror(machine=machine)) for machine in BOTH}
    here = source(mirror.directory, sha256)
    hosts = {
        "a": Wanted(("3.11",), "x86_64", []),
        "b": Wanted(("3.11",), "aarch64", []),
        "c": Wanted(("3.11",), "x86_64", []),
    }
    found, problems = provide(hosts, here)
    assert problems == []
    assert found["a"] == found["c"]
    assert {host: about["machine"] for host, about in found.items()} == {host: hosts[host].machine for host in hosts}
    for about in found.values():
        assert about["sha256"] == sha256[about["machine"]] == sha256_of(Path(about["archive"]))
        assert about["version"] == "3.11.2" and about["name"].startswith(f"3.11.2+20261129-{about['machine']}-")


def test_build_that_hosts_have_is_not_fetched(mirror, source, without_uv, tmp_path):
    here = source(mirror.directory, {"x86_64": sha256_of(mirror())})
    name = here.find(["3.11"], ["x86_64"])["x86_64"].name
    found, problems = provide({"a": Wanted(("3.11",), "x86_64", [name])}, here)
    assert problems == []
    assert found == {"a": {"name": name, "version": "3.11.2", "machine": "x86_64", "sha256": "", "archive": ""}}
    assert not (tmp_path / "cache").exists()


def test_hosts_with_different_wishes_get_different_builds(mirror, source, without_uv):
    archives = [mirror("3.11.2"), mirror("3.12.1")]
    shutil.copy(archives[0], archives[1])  # one hash for one architecture
    here = source(mirror.directory, {"x86_64": sha256_of(archives[0])})
    hosts = {
        "a": Wanted(("3.11",), "x86_64", []),
        "b": Wanted(("3.12",), "x86_64", []),
        "c": Wanted(("3.10",), "x86_64", []),
    }
    found, (problem,) = provide(hosts, here)
    assert {host: about["version"] for host, about in found.items()} == {"a": "3.11.2", "b": "3.12.1"}
    assert problem.startswith(f"dask_python (3.10): {mirror.directory} has no CPython 3.10 for x86_64")


def test_no_host_needs_no_source(source, without_uv):
    assert provide({}, source()) == ({}, [])


def test_list_of_uv_contains_names_only(uv, source, tmp_path):
    source().find(["3.13"], BOTH)
    (path,) = (tmp_path / "cache").glob("python-builds-*.json")
    assert all(build_of(name) for name in json.loads(path.read_text()))
