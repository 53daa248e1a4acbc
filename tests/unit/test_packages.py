# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids of environments, and fetching packages from a real index on this machine."""

import contextlib
import functools
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import environments
from ansible_collections.daskops.cluster.plugins.plugin_utils import packages as packages_module
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock, read_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError, PackagesError
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import Packages
from sources import commit_all, git, hash_of, write_project, write_sdist
from wheels import PYTHON, build_wheel, lock_line, python, repack

try:
    from compression import zstd
except ImportError:
    from backports import zstd

A, B, C = (f"sha256:{digit * 64}" for digit in "abc")
LOCK = f"dask==2026.8.0 --hash={A} --hash={B}\n"
TOOLS_LOCK = f"uv==0.13.8 --hash={C}\n"


def id_of(lock=LOCK, tools_lock=TOOLS_LOCK, python=PYTHON, source="controller", build=()):
    return Packages(parse_lock(lock), parse_lock(tools_lock), python, source, build).id


@pytest.mark.parametrize(
    "same",
    [
        {"lock": f"# A comment\n\ndask==2026.8.0 \\\n    --hash={A} \\\n    --hash={B}\n    # via distributed\n"},
        {"lock": f"dask==2026.8.0 --hash={B} --hash={A}\n"},
        {"lock": f"Dask[array]==2026.8.0 --hash={A} --hash={B}\n"},
        {"lock": f"{LOCK}colorama==1 ; sys_platform == 'win32' --hash={C}\n"},
        {"lock": f"--index-url https://packages.example/simple\n{LOCK}"},
        {"source": "index"},
        {"python": python("3.11.9")},
        {"python": {**PYTHON, "libc": ["glibc", "2.41"]}},
        {"lock": f"--no-binary :none:\n-c constraints.txt\n{LOCK}"},
    ],
)
def test_id_ignores_details_without_effect_on_the_environment(same):
    assert id_of(**same) == id_of()


@pytest.mark.parametrize(
    "other",
    [
        {"lock": LOCK.replace("2026.8.0", "2026.8.1")},
        {"lock": LOCK.replace(A, C)},
        {"lock": f"dask==2026.8.0 --hash={A}\n"},
        {"lock": f"{LOCK}lz4==4.0 --hash={C}\n"},
        {"tools_lock": TOOLS_LOCK.replace("0.13.8", "0.13.9")},
        {"python": python("3.12.2")},
        {"python": {**PYTHON, "machine": "aarch64"}},
        {"python": {**PYTHON, "libc": ["musl", "1.2.4"]}},
        {"python": {**PYTHON, "managed": "3.11.2+20261129-x86_64"}},
        # A different interpreter of the same version.
        {"python": {**PYTHON, "prefix": "/opt/python", "executable": "/opt/python/bin/python3"}},
    ],
)
def test_id_depends_on_everything_that_changes_the_environment(other):
    assert id_of(**other) != id_of()


COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT = f"{LOCK}mycode @ git+https://a.example/mycode@{COMMIT}#subdirectory=one\n"
URL = f"{LOCK}mycode @ https://a.example/mycode-1.0.tar.gz --hash={C}\n"
PYLOCK = f"""
lock-version = "1.0"
created-by = "tool"
[[packages]]
name = "dask"
version = "2026.8.0"
sdist = {{ url = "https://a.example/dask-2026.8.0.tar.gz", hashes = {{ sha256 = "{"a" * 64}" }} }}
wheels = [
  {{ url = "https://a.example/dask-2026.8.0-py3-none-any.whl", hashes = {{ sha256 = "{"b" * 64}" }} }},
  {{ url = "https://a.example/dask-2026.8.0-cp312-cp312-linux_x86_64.whl", hashes = {{ sha256 = "{"c" * 64}" }} }},
]
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"lock": LOCK}, {"lock": LOCK, "build": ["dask"]}),
        ({"lock": LOCK}, {"lock": LOCK.replace(A, f"sha512:{'a' * 128}")}),
        ({"lock": GIT, "build": ["mycode"]}, {"lock": GIT.replace("0123", "1123"), "build": ["mycode"]}),
        ({"lock": GIT, "build": ["mycode"]}, {"lock": GIT.replace("=one", "=two"), "build": ["mycode"]}),
        ({"lock": URL, "build": ["mycode"]}, {"lock": URL.replace(C, B), "build": ["mycode"]}),
        ({"lock": PYLOCK}, {"lock": PYLOCK, "build": ["dask"]}),
        ({"lock": PYLOCK}, {"lock": PYLOCK.replace("b" * 64, "d" * 64)}),
    ],
)
def test_id_depends_on_sources_and_builds(one, other):
    assert id_of(**one) != id_of(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The commit and the hash identify the content, from whatever host.
        ({"lock": GIT, "build": ["mycode"]}, {"lock": GIT.replace("https://a", "ssh://git@b"), "build": ["mycode"]}),
        ({"lock": URL, "build": ["mycode"]}, {"lock": URL.replace("//a", "//ada:pw@b"), "build": ["mycode"]}),
        # Files for other interpreters, and other URLs of the same files.
        ({"lock": PYLOCK}, {"lock": PYLOCK.replace("c" * 64, "d" * 64).replace("a.example", "b.example")}),
        ({"lock": PYLOCK}, {"lock": f"dask==2026.8.0 --hash={B}\n"}),
    ],
)
def test_id_ignores_the_origin(one, other):
    assert id_of(**one) == id_of(**other)


def test_package_that_is_built_needs_the_controller_as_source():
    with pytest.raises(
        LockError, match="dask is built on the controller, which hosts cannot fetch. Set dask_environment_source to con"
    ):
        id_of(build=["dask"], source="index")


def test_version_of_a_commit_is_not_known():
    packages = Packages(parse_lock(GIT), parse_lock(TOOLS_LOCK), PYTHON, "controller", ["mycode"])
    assert packages.versions == {"dask": "2026.8.0", "mycode": "git+0123456789ab"}


def test_id_depends_on_the_build_of_a_managed_python_and_not_on_its_directory():
    ids = {
        (name, prefix): id_of(python={**PYTHON, "managed": name, "prefix": f"{prefix}/pythons/{name}"})
        for name in ("3.11.2+20261129-x86_64", "3.11.2+20261130-x86_64")
        for prefix in ("/opt/dask", "/srv/dask")
    }
    assert len(set(ids.values())) == 2
    assert ids["3.11.2+20261129-x86_64", "/opt/dask"] == ids["3.11.2+20261129-x86_64", "/srv/dask"]


def test_id_ignores_the_directory_of_a_wheel(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    lines = [lock_line(build_wheel(tmp_path / name, "mycode")).split(" ", 1)[1] for name in ("one", "two")]
    ids = {
        id_of(lock=f"{tmp_path}/{name}/mycode-1.0-py3-none-any.whl {line}") for name, line in zip(("one", "two"), lines)
    }
    assert len(ids) == 1


def test_local_wheel_needs_the_controller_as_source(tmp_path):
    wheel = build_wheel(tmp_path, "mycode")
    with pytest.raises(
        LockError, match="mycode is a wheel on the controller.*Set dask_environment_source to controller"
    ):
        id_of(lock=f"{wheel} {lock_line(wheel).split(' ', 1)[1]}", source="index")


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *dummy):
        pass


@contextlib.contextmanager
def served(directory):
    """Serve a directory over HTTP and return its URL."""
    handler = functools.partial(Handler, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Index:
    """A package index (PEP 503) with two packages and the tools that are installed here."""

    def __init__(self, directory, requires=("lz4",)):
        self.directory = directory
        wheels = directory / "wheels"
        wheels.mkdir()
        self.dask = build_wheel(wheels, "dask", "2026.8.0", requires)
        self.lz4 = build_wheel(wheels, "lz4", "4.0", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
        self.uv = repack(wheels, "uv")
        self.zstd = repack(wheels, "backports.zstd")
        for wheel in (self.dask, self.lz4, self.uv, self.zstd):
            page = directory / "simple" / wheel.name.split("-")[0].replace("_", "-")
            page.mkdir(parents=True)
            page.joinpath("index.html").write_text(f'<a href="/wheels/{wheel.name}">{wheel.name}</a>')
        self.lock = lock_line(self.dask) + lock_line(self.lz4)
        self.tools_lock = lock_line(self.uv) + lock_line(self.zstd)

    def served(self):
        return served(self.directory)


@pytest.fixture(scope="module", autouse=True)
def pip_settings():
    """Run pip without the settings of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return Index(tmp_path_factory.mktemp("index"))


def packages_of(lock, tools_lock, version="3.11.2", source="controller", build=(), directory=None):
    return Packages(parse_lock(lock, directory), parse_lock(tools_lock), python(version), source, build)


def fetched(index, cache, lock=None, tools_lock=None, **options):
    """Fetch a lock from the index; return the archive."""
    packages = packages_of(lock or index.lock, tools_lock or index.tools_lock, **options)
    with index.served() as url:
        return packages.fetch(str(cache), f"{url}/simple")


@pytest.fixture
def fetch(index, tmp_path):
    return functools.partial(fetched, index, tmp_path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def archive(index, cache):
    """Return the archive that is fetched for the index's lock."""
    return fetched(index, cache)


def contents(archive):
    """Return the contents of the files in an archive by name."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers() if member.isfile()}


def files(held, directory):
    """Return the name of the compressed member in an archive, and the contents of the environment's files by path."""
    (name,) = (name for name in held if name.endswith(".zst"))
    packed = directory / name
    packed.write_bytes(held[name])
    with zstd.open(packed) as stream:
        table = json.loads(stream.read(int(stream.readline())))
        return name, {path: stream.read(size) for path, size, dummy in table}


def pinned(*wheels):
    return "".join(lock_line(wheel).replace(" \\\n    ", " ") for wheel in wheels)


def test_archive_contains_everything_a_host_needs(index, archive, tmp_path):
    held = contents(archive)
    dummy, tree = files(held, tmp_path)
    assert held["requirements.txt"].decode() == pinned(index.dask, index.lz4)
    assert held["tools.txt"].decode() == pinned(index.zstd, index.uv).replace("_", "-")
    assert held["tree.py"] == Path(packages_module.TREE).read_bytes()
    # Hosts do not run uv.
    assert {name for name in held if "/" in name} == {f"tools/{index.zstd.name}"}
    library = "lib/python3.11/site-packages"
    assert tree[f"{library}/dask.py"] == b"version = '2026.8.0'\n" and f"{library}/lz4.py" in tree
    # Files that depend on the interpreter are created on the host.
    assert not [name for name in tree if name.startswith(("bin/python", "lib64")) or name == "pyvenv.cfg"]
    assert {name.split("/")[1] for name in tree if name.startswith("lib/")} == {"python3.11"}


def test_environment_for_another_python_than_the_controllers(tmp_path):
    index = Index(tmp_path, requires=())
    dummy, tree = files(contents(fetched(index, tmp_path, lock_line(index.dask), version="3.12.1")), tmp_path)
    assert "lib/python3.12/site-packages/dask.py" in tree


def test_archives_of_the_same_packages_are_equal(index, archive, tmp_path):
    again = fetched(index, tmp_path)
    assert Path(again).name == Path(archive).name
    # Bytecode contains the path of its source, and uv records the time of a wheel; RECORD has the hashes of both.
    apart = (".pyc", "uv_cache.json", "RECORD")
    trees = [files(contents(path), tmp_path)[1] for path in (archive, again)]
    one, other = ({name: tree[name] for name in tree if not name.endswith(apart)} for tree in trees)
    assert one == other and len(one) > 5


def test_bytecode_is_compiled_if_controller_and_host_have_the_same_python(tmp_path):
    index = Index(tmp_path, requires=())
    own, other = (f"3.{sys.version_info.minor + step}.0" for step in (0, 1))
    name, tree = files(contents(fetched(index, tmp_path, lock_line(index.dask), version=own)), tmp_path)
    (compiled,) = (path for path in tree if path.endswith(f"dask.{sys.implementation.cache_tag}.pyc"))
    # PEP 552 flags: hash-based, and never compared with the source.
    assert tree[compiled][:8] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0"
    assert name == "compiled.zst"
    name, tree = files(contents(fetched(index, tmp_path, lock_line(index.dask), version=other)), tmp_path)
    assert name == "packages.zst" and not [path for path in tree if path.endswith(".pyc")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # editors on Windows write a BOM
def test_paths_may_start_with_a_tilde(index, cache, archive, monkeypatch, encoding):
    monkeypatch.setenv("HOME", str(cache))
    (cache / "lock.txt").write_text(index.lock, encoding=encoding)
    (cache / "tools.txt").write_text(index.tools_lock)
    monkeypatch.setattr(environments, "TOOLS_LOCK", str(cache / "tools.txt"))
    hosts = {"a": {"python": python("3.11.2"), "environments": {}}}
    lock = read_lock(environments.lock_file("~/lock.txt"))
    found = environments._environments(hosts, *lock, "controller", "", str(cache))
    assert found["a"]["archive"] == archive


def test_second_run_uses_the_cache(index, archive, cache):
    packages = packages_of(index.lock, index.tools_lock)
    assert packages.fetch(str(cache), "http://127.0.0.1:9/simple") == archive


def test_archive_of_another_format_is_not_used(index, cache, archive, monkeypatch):
    monkeypatch.setattr(packages_module, "ARCHIVE", packages_module.ARCHIVE + 1)
    # No index answers, so no new archive can be made.
    monkeypatch.setenv("PIP_RETRIES", "0")
    packages = packages_of(index.lock, index.tools_lock)
    with pytest.raises(PackagesError, match="the package index does not answer|has no wheel"):
        packages.fetch(str(cache), "http://127.0.0.1:9/simple")


def test_cache_contains_only_archives(archive, cache):
    assert {str(path) for path in cache.iterdir() if path.suffix != ".txt"} == {archive, str(cache / "locks")}


def test_archive_for_source_index_contains_uv_and_index_options(index, fetch):
    archive = contents(fetch("--extra-index-url https://more.example/simple\n" + index.lock, source="index"))
    assert set(archive) == {"requirements.txt", "tools.txt", f"tools/{index.uv.name}"}
    assert archive["tools.txt"].decode() == pinned(index.uv)
    assert archive["requirements.txt"].decode().startswith("--extra-index-url https://more.example/simple\ndask==")


def test_password_of_the_index_is_in_no_command_line(index, tmp_path, monkeypatch):
    commands = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options)
    )
    packages = packages_of(index.lock, index.tools_lock)
    with index.served() as url:
        packages.fetch(str(tmp_path), url.replace("http://", "http://somebody:canary@") + "/simple")
    assert any("download" in command for command in commands)
    assert "canary" not in str(commands)


def test_package_with_another_hash_is_rejected(index, fetch, tmp_path):
    with pytest.raises(PackagesError, match=r"lz4==4\.0 does not match its hash in the lock: find out why"):
        fetch(lock_line(index.dask) + f"lz4==4.0 --hash={A}\n")
    assert not list(tmp_path.glob("*.tar"))


def test_uv_with_another_hash_is_rejected(index, fetch):
    version = index.uv.name.split("-")[1]
    with pytest.raises(PackagesError, match=rf"uv=={re.escape(version)} does not match its hash in the lock"):
        fetch(tools_lock=f"uv=={version} --hash={A}\n")


def test_package_missing_on_the_index_is_reported(index, fetch):
    with pytest.raises(
        PackagesError, match=r"the index has no wheel of numpy==2\.0 for Python 3\.11\.2 on x86_64 with glibc 2\.36"
    ):
        fetch(index.lock + f"numpy==2.0 --hash={A}\n")


def test_package_without_wheels_is_reported(index, fetch):
    directory = index.directory / "simple" / "sourceonly"
    directory.mkdir()
    with tarfile.open(directory / "sourceonly-1.0.tar.gz", "w:gz") as tar:
        tar.add(__file__, "sourceonly-1.0/setup.py")
    line = f"sourceonly==1.0 --hash={A}\n"
    with pytest.raises(
        PackagesError, match="^sourceonly==1.0 exists only as source. Add sourceonly to dask_environment_build, so that"
    ):
        fetch(index.lock + line)
    with pytest.raises(PackagesError, match=r"the index has no wheel of sourceonly==1\.1"):
        fetch(index.lock + line.replace("1.0", "1.1"))


def test_wheel_on_the_controller_is_installed(index, fetch, tmp_path):
    wheel = build_wheel(tmp_path, "mycode")
    held = contents(fetch(f"{index.lock}{wheel} {lock_line(wheel).split(' ', 1)[1]}"))
    assert b"mycode==1.0" in held["requirements.txt"]


def test_directory_of_wheels_may_have_a_space_in_its_path(index, fetch, tmp_path):
    directory = tmp_path / "my project" / "wheels"
    directory.mkdir(parents=True)
    lock = f"{index.lock}--find-links wheels\n{lock_line(build_wheel(directory, 'mycode'))}"
    assert b"mycode==1.0" in contents(fetch(lock, directory=str(directory.parent)))["requirements.txt"]


def pylock(url, *wheels):
    """Return a pylock.toml with wheels of an index."""
    entries = [
        f'[[packages]]\nname = "{wheel.name.split("-")[0]}"\nversion = "{wheel.name.split("-")[1]}"\nwheels = [\n'
        f'{{ url = "{url}/wheels/{wheel.name}", hashes = {{ sha256 = "{hash_of(wheel).partition(":")[2]}" }} }} ]\n'
        for wheel in wheels
    ]
    return 'lock-version = "1.0"\ncreated-by = "tool"\n' + "".join(entries)


def test_wheels_of_a_pylock_come_from_their_urls(index, tmp_path, monkeypatch):
    for tool in (index.uv, index.zstd):
        shutil.copy(tool, tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with index.served() as url:
        archive = packages_of(pylock(url, index.dask, index.lz4), index.tools_lock).fetch(str(tmp_path / "cache"), "")
    assert contents(archive)["requirements.txt"].decode() == pinned(index.dask, index.lz4)


def test_mirror_is_used_instead_of_the_urls_of_a_pylock(index, fetch):
    lock = pylock("http://127.0.0.1:9", index.dask, index.lz4)
    assert contents(fetch(lock))["requirements.txt"].decode() == pinned(index.dask, index.lz4)
    held = contents(fetch(lock, source="index"))["requirements.txt"].decode()
    assert held == pinned(index.dask, index.lz4)


def test_hosts_get_the_urls_of_a_pylock(index, tmp_path, monkeypatch):
    packages = packages_of(pylock("https://files.example", index.lz4), index.tools_lock, source="index")
    with index.served() as url:
        monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
        archive = packages.fetch(str(tmp_path), "")
    assert contents(archive)["requirements.txt"].decode() == (
        f"lz4 @ https://files.example/wheels/{index.lz4.name} --hash={hash_of(index.lz4)}\n"
    )
    # Options and URLs may contain passwords.
    assert Path(archive).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_wheels_are_checked_with_other_hash_algorithms(index, fetch, algorithm):
    good = f"dask==2026.8.0 --hash={hash_of(index.dask, algorithm)}\nlz4==4.0 --hash={hash_of(index.lz4, algorithm)}\n"
    assert contents(fetch(good))["requirements.txt"].decode() == pinned(index.dask, index.lz4)
    with pytest.raises(PackagesError, match=r"lz4==4\.0 does not match its hash in the lock: find out why"):
        fetch(good.replace(hash_of(index.lz4, algorithm), hash_of(index.dask, algorithm)))


def test_built_wheels_are_installed_and_pinned_by_their_content(index, fetch, tmp_path):
    sdist = write_sdist(tmp_path, "fromsource")
    project = write_project(tmp_path / "repository", "fromgit")
    commit = commit_all(project)
    lock = (
        f"{lock_line(index.dask)}{lock_line(index.lz4)}./{sdist.name} --hash={hash_of(sdist)}\n"
        f"fromgit @ git+{project.as_uri()}@{commit}\n"
    )
    build = ["fromsource", "fromgit"]
    archive = fetch(lock, build=build, directory=str(tmp_path))
    held = contents(archive)
    dummy, tree = files(held, tmp_path)
    assert {f"lib/python3.11/site-packages/{name}.py" for name in build} < set(tree)
    wheels = sorted((tmp_path / "wheels").glob("*/*.whl"))
    assert held["requirements.txt"].decode() == pinned(index.dask, *wheels, index.lz4)
    # The archive is made again from the wheels that were built.
    sdist.rename(tmp_path / "elsewhere")
    Path(archive).unlink()
    sdist.write_bytes((tmp_path / "elsewhere").read_bytes())
    git(project, "checkout", "--quiet", "--orphan", "other")
    git(project, "branch", "-D", "main")
    assert fetch(lock, build=build, directory=str(tmp_path)) == archive
    assert sorted((tmp_path / "wheels").glob("*/*.whl")) == wheels


def test_packages_that_wheels_from_source_need_are_checked(index, fetch, tmp_path):
    sdist = write_sdist(tmp_path, metadata="Requires-Dist: numpy\n")
    with pytest.raises(LockError, match="mycode needs numpy, which the lock does not contain for Python 3.11.2"):
        fetch(f"{index.lock}./{sdist.name} --hash={hash_of(sdist)}\n", build=["mycode"], directory=str(tmp_path))


def test_lock_without_wheels_of_an_index_is_possible(fetch, tmp_path):
    sdist = write_sdist(tmp_path)
    held = contents(fetch(f"./{sdist.name} --hash={hash_of(sdist)}\n", build=["mycode"], directory=str(tmp_path)))
    assert held["requirements.txt"].startswith(b"mycode==1.0 --hash=sha256:")


def test_unreachable_index_is_reported(index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")
    packages = packages_of(index.lock, index.tools_lock)
    with pytest.raises(PackagesError, match=r"the package index does not answer .*: set dask_environment_index_url"):
        packages.fetch(str(tmp_path), "http://127.0.0.1:9/simple")


def test_missing_wheel_for_a_python_is_reported(fetch):
    with pytest.raises(PackagesError, match=r"the index has no wheel of lz4==4\.0 for Python 3\.12\.1"):
        fetch(version="3.12.1")


def test_incomplete_lock_is_reported(index, fetch):
    with pytest.raises(LockError, match=r"dask needs lz4, which the lock does not contain"):
        fetch(lock_line(index.dask))


def test_index_url_overrides_the_locks_index(index, fetch):
    # A mirror is used if hosts or the controller cannot reach the index of the lock.
    assert fetch("--index-url http://127.0.0.1:9/simple\n" + index.lock)


def test_fetched_packages_leave_no_file_with_the_address_of_the_index(tmp_path, monkeypatch):
    (tmp_path / "index").mkdir()
    wheel = build_wheel(tmp_path / "index", "dask")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    options = ["--index-url https://ada:secret@example.org/simple", f"--find-links {tmp_path / 'index'}"]
    (found,) = packages_module.download([*options, lock_line(wheel)], PYTHON, str(tmp_path / "wheels"), "")
    with pytest.raises(PackagesError):
        packages_module.download([*options, f"lz4==4.0 --hash={A}"], PYTHON, str(tmp_path / "others"), "")
    assert Path(found).read_bytes() == wheel.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "others") == ["index", "wheels"]
