# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments that a run prepares for hosts."""

import hashlib
import platform
import sys
import tarfile

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import environments
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import own_python
from packed_prefixes import VERSION, make_conda, make_venv, pack_conda, pack_venv
from sentences import only, says
from wheels import build_wheel, lock_line, repack


def variables(cache, **changes):
    """Return the variables of a host ``w1``, with a cache on the controller."""
    return {"w1": complete({"dask_cache": str(cache), **changes})}


HASH = f"--hash=sha256:{'a' * 64}"


@pytest.mark.parametrize(
    "line", [f"dask==1 {HASH}", f"dask==1 {HASH}\n# distributed==1", f"distributed-plus==1 {HASH}"]
)
def test_lock_without_distributed_is_rejected(tmp_path, line):
    lock = tmp_path / "lock.txt"
    lock.write_text(f"{line}\n")
    found, (sentence,) = environments.environments({}, variables(tmp_path, dask_environment_lock=str(lock)))
    assert found == {}
    assert says(sentence, f"dask_environment_lock ({lock}): it does not contain distributed")


@pytest.mark.parametrize(
    "line", ["distributed==2026.8.0", "distributed @ file:///x.whl", "distributed[http]==1", "Distributed==1"]
)
def test_lock_with_distributed_is_accepted(tmp_path, line):
    lock = tmp_path / "lock.txt"
    lock.write_text(f"a==1 {HASH}\n{line} {HASH}\n")
    assert environments.environments({}, variables(tmp_path, dask_environment_lock=str(lock))) == ({}, [])


def test_malformed_url_of_the_index_is_rejected_without_its_password(tmp_path):
    own = variables(tmp_path, dask_environment_index_url="https://ada:can/ary@a.example")
    found, (sentence,) = environments.environments({}, own)
    assert (
        found == {} and sentence.startswith("dask_environment_index_url is not a valid URL. ") and "ary" not in sentence
    )


def python(libc, machine="x86_64", **about):
    return {
        "version": "3.13.5",
        "machine": machine,
        "libc": list(libc),
        "executable": "/opt/x",
        "prefix": "/opt",
        **about,
    }


def libcs(**pythons):
    return {host: found["libc"][-1] for host, found in environments.with_oldest_libc(pythons).items()}


def test_hosts_of_one_kind_share_packages_for_the_oldest_libc():
    new, newer, old = python(("glibc", "2.36")), python(("glibc", "2.41")), python(("glibc", "2.9"))
    assert libcs(a=new, b=newer) == {"a": "2.36", "b": "2.36"}
    assert libcs(a=newer, b=old, c=new) == {"a": "2.9", "b": "2.9", "c": "2.9"}
    assert libcs(a=newer) == {"a": "2.41"} and libcs() == {}


def test_hosts_of_different_kinds_do_not_share_packages():
    assert libcs(
        a=python(("glibc", "2.36")),
        b=python(("glibc", "2.41"), "aarch64"),
        c=python(("musl", "1.2")),
        d=python(("glibc", "2.39"), version="3.12.1"),
    ) == {"a": "2.36", "b": "2.41", "c": "1.2", "d": "2.39"}


def test_managed_pythons_in_different_directories_are_of_one_kind():
    one, two = (python(("glibc", version), prefix=f"/{version}", managed="m") for version in ("2.36", "2.41"))
    assert environments.kind_of_python(one) != environments.kind_of_python(two)  # their libc differs
    first, second = environments.with_oldest_libc({"a": one, "b": two}).values()
    assert environments.kind_of_python(first) == environments.kind_of_python(second)
    own = environments.with_oldest_libc({"a": {**one, "managed": ""}, "b": {**two, "managed": ""}})
    assert len(set(map(environments.kind_of_python, own.values()))) == 2


# From an archive

HOST = {
    "python": {**own_python(), "executable": sys.executable, "prefix": "/usr"},
    "architecture": platform.machine(),
    "environments": {},
}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    directory = tmp_path_factory.mktemp("packed")
    wheels = [build_wheel(directory, "dask"), build_wheel(directory, "distributed")]
    conda, venv = make_conda(directory / "c", wheels, directory / "caches"), make_venv(directory / "v", wheels)
    return {"conda": pack_conda(conda, directory / "c.tar.gz"), "venv": pack_venv(venv, directory / "v.tar.gz")}


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch):
    """Provide the collection's tools without an index."""
    (tmp_path / "index").mkdir()
    wheels = [repack(tmp_path / "index", name) for name in ("fastjsonschema", "backports.zstd")]
    (tmp_path / "tools.txt").write_text("".join(map(lock_line, wheels)))
    monkeypatch.setattr(environments, "TOOLS_LOCK", str(tmp_path / "tools.txt"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))


def from_archive(tmp_path, path, hosts, **changes):
    """Return the environments of hosts from an archive, and the problems."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "0" * 64
    own = {"dask_environment_archive": str(path), "dask_environment_archive_sha256": sha256, **changes}
    own = variables(tmp_path / "cache", **own)["w1"]
    return environments.environments(hosts, dict.fromkeys(hosts, own))


def test_hosts_need_no_python_for_an_environment_of_conda(archives, tmp_path):
    old = {**HOST["python"], "version": "3.9.2"}
    hosts = {
        "a": HOST,
        "b": {**HOST, "python": {}},
        "c": {**HOST, "python": old},
        "d": {**HOST, "python": {"executable": "/home/dask/python", "changeable": "/home/dask"}},
    }
    found, problems = from_archive(tmp_path, archives["conda"], hosts)
    assert problems == []
    assert len({about["id"] for about in found.values()}) == 1
    assert [about["python"] for about in found.values()] == [sys.executable, "", "", ""]
    assert not any(about["prefixes"] for about in found.values())
    assert found["a"]["archive"] != found["b"]["archive"] == found["c"]["archive"] == found["d"]["archive"]
    assert found["a"]["packages"] == {"dask": "1.0", "distributed": "1.0"}
    assert found["a"]["origin"] == {"archive": hashlib.sha256(archives["conda"].read_bytes()).hexdigest()}
    # A host that has it gets nothing.
    has = {**HOST, "environments": {found["a"]["id"]: {}}}
    again, problems = from_archive(tmp_path, archives["conda"], {"a": has})
    assert (again["a"]["id"], again["a"]["archive"], problems) == (found["a"]["id"], "", [])


def test_root_creates_directories_with_the_python_of_the_host_if_it_is_safe(archives, tmp_path):
    old = {**HOST["python"], "version": "3.8.1"}
    hosts = {
        "own": HOST,
        "old": {**HOST, "python": old},
        "none": {**HOST, "python": {}},
        "unsafe": {**HOST, "python": {"executable": "/home/dask/python3", "changeable": "/home/dask"}},
    }
    found, problems = from_archive(tmp_path, archives["conda"], hosts)
    assert problems == []
    boot = {host: about["boot_python"] for host, about in found.items()}
    assert boot == {"own": sys.executable, "old": sys.executable, "none": "", "unsafe": ""}


def test_virtual_environment_needs_a_python_of_the_host(archives, tmp_path):
    hosts = {"a": HOST, "b": {**HOST, "python": {}}, "c": {**HOST, "python": {**HOST["python"], "version": "3.99.1"}}}
    found, problems = from_archive(tmp_path, archives["venv"], hosts)
    assert len(problems) == 2
    assert says(problems[0], "b has no working Python 'python3'")
    where = f"dask_environment_archive ({archives['venv']})"
    assert says(problems[1], f"c: {where} is a virtual environment of Python {VERSION[:4]}, but dask_python (")
    found, problems = from_archive(tmp_path, archives["venv"], {"a": HOST})
    assert problems == [] and (found["a"]["python"], found["a"]["prefixes"]) == (sys.executable, ["/usr"])


def test_host_of_another_architecture_is_rejected(archives, tmp_path):
    found, problems = from_archive(tmp_path, archives["conda"], {"a": HOST, "b": {**HOST, "architecture": "riscv64"}})
    assert says(
        only(problems), f"b: dask_environment_archive ({archives['conda']}) is for {platform.machine()}, but the"
    )
    assert only(problems).endswith("but the host is riscv64. Pack an environment on a machine of that architecture.")


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (lambda path: None, {}, "does not exist on the controller. Correct the path."),
        (lambda path: path.mkdir(), {}, "cannot be used on the controller"),
        (lambda path: path.write_bytes(b"x"), {"dask_environment_archive_sha256": "0" * 64}, "its SHA-256 is "),
        (lambda path: path.write_bytes(b"x"), {}, "it is damaged, or not a tar archive"),
    ],
)
def test_unusable_archive_is_rejected(tmp_path, make, changes, said):
    path = tmp_path / "env.tar.gz"
    make(path)
    found, problems = from_archive(tmp_path, path, {"a": HOST}, **changes)
    assert found == {} and says(only(problems), f"dask_environment_archive ({path})", said)
    own = {"dask_environment_archive": str(path), "dask_environment_archive_sha256": "0" * 64, **changes}
    found, problems = environments.client_packages(variables(tmp_path, **own)["w1"], {})
    assert found == {} and says(only(problems), f"dask_environment_archive ({path})")


def test_missing_tools_are_an_error(archives, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    found, problems = from_archive(tmp_path, archives["venv"], {"a": HOST})
    assert found == {}
    assert says(only(problems), "the tools that hosts need could not be fetched: the index has no wheel of")


def test_clients_get_a_list_of_packages(archives, tmp_path):
    sha256 = hashlib.sha256(archives["conda"].read_bytes()).hexdigest()
    own = {"dask_environment_archive": str(archives["conda"]), "dask_environment_archive_sha256": sha256}
    found, problems = environments.client_packages(variables(tmp_path, **own)["w1"], {})
    assert problems == [] and (found["python"], found["lock"]) == (VERSION, "")
    lines = found["requirements"].splitlines()
    assert sha256 in lines[0] and "no hashes" in lines[1] and lines[2:] == ["dask==1.0", "distributed==1.0"]


# From a directory on hosts

PATH = "/nfs/env"
ABOUT = {
    "changeable": "", "problem": "", "python": "3.12.4", "implementation": "cpython", "prefix": PATH, "base_prefix": PATH,
    "packages": {"dask": "1", "distributed": "1"}, "conda": [], "by_conda": [],
}  # fmt: skip


def from_path(tmp_path, **abouts):
    """Return the environments of hosts from what they have at `PATH`, and the problems."""
    hosts = {name: {**HOST, "environment_paths": {PATH: about}} for name, about in abouts.items()}
    own = variables(tmp_path / "cache", dask_environment_path=PATH)["w1"]
    return environments.environments(hosts, dict.fromkeys(hosts, own))


def test_hosts_share_an_environment_that_exists(tmp_path):
    found, problems = from_path(tmp_path, a=ABOUT, b=ABOUT)
    assert problems == [] and found["a"] == found["b"]
    about = found["a"]
    assert (about["python"], about["boot_python"], about["prefixes"]) == ("", sys.executable, [PATH])
    assert about["origin"]["path"] == PATH and about["packages"] == ABOUT["packages"]
    with tarfile.open(about["archive"]) as tar:
        assert sorted(name.split("-")[0] for name in tar.getnames()) == [
            "conda.json", "requirements.txt", "tools.txt", "tools/fastjsonschema", "tree.py"
        ]  # fmt: skip
    # Another version is another environment, and so another release.
    newer, problems = from_path(tmp_path, a={**ABOUT, "packages": {**ABOUT["packages"], "dask": "2"}})
    assert newer["a"]["id"] != about["id"] and newer["a"]["origin"]["fingerprint"] != about["origin"]["fingerprint"]
    hosts = {"a": {**HOST, "environment_paths": {PATH: ABOUT}, "environments": {about["id"]: {}}}}
    own = variables(tmp_path / "cache", dask_environment_path=PATH)["w1"]
    again, problems = environments.environments(hosts, {"a": own})
    assert (again["a"]["id"], again["a"]["archive"]) == (about["id"], "")


def test_environment_that_a_host_cannot_use_is_rejected(tmp_path):
    found, problems = from_path(tmp_path, a=ABOUT, b={**ABOUT, "problem": "it cannot be read"})
    assert found == {} and says(only(problems), f"b: dask_environment_path ({PATH}) cannot be used: it cannot be read.")


@pytest.mark.parametrize("python", [{}, {"executable": "/home/dask/python", "changeable": "/home/dask"}])
def test_root_needs_an_interpreter_of_its_own(tmp_path, python):
    hosts = {"a": {**HOST, "python": python, "environment_paths": {PATH: ABOUT}}}
    own = variables(tmp_path / "cache", dask_environment_path=PATH)["w1"]
    found, problems = environments.environments(hosts, {"a": own})
    assert found == {} and says(only(problems), "a has no safe Python with which root can create")
    old = {**HOST["python"], "version": "3.8.0"}
    hosts["a"]["python"] = old
    assert environments.environments(hosts, {"a": own})[1] == []


def test_clients_get_the_packages_of_a_host(tmp_path):
    own = variables(tmp_path, dask_environment_path=PATH)["w1"]
    found, problems = environments.client_packages(own, {"a": {"environment_paths": {PATH: ABOUT}}})
    assert problems == [] and found["python"] == "3.12.4"
    assert (
        found["requirements"].splitlines()[0]
        == f"# The packages of the cluster, from the directory {PATH} of its hosts."
    )
    assert found["requirements"].splitlines()[2:] == ["dask==1", "distributed==1"]
    broken = {"a": {"environment_paths": {PATH: {**ABOUT, "problem": "it is gone"}}}}
    assert says(only(environments.client_packages(own, broken)[1]), f"dask_environment_path ({PATH})", "it is gone")
