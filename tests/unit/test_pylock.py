# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks in the form pylock.toml, as uv, pip and Poetry write them, and files that are rejected."""

import sys

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import pylock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError, select, to_build, with_addresses
from ansible_collections.daskops.cluster.plugins.plugin_utils.pylock import is_pylock, parse_pylock
from conftest import ROOT
from wheels import PYTHON, build_wheel, lock_line, python

LOCKS = ROOT / "tests/unit/locks"
A, B, C = (digit * 64 for digit in "abc")
COMMIT = "d305b05396abe2d87de13d9d8cc51ceb8940699f"
HEAD = 'lock-version = "1.0"\ncreated-by = "tool"\n'
LZ4 = "75419bb1a559af00250b8f1360d508444e80ed4b26d9d40ec5b09fe7875cb989"


def read(name):
    return parse_pylock((LOCKS / name).read_text(), str(LOCKS))


def locked(entry, head=HEAD, name="mycode"):
    """Return the lock of a file with one package."""
    return parse_pylock(f'{head}[[packages]]\nname = "{name}"\n{entry}\n', "/srv/locks")


def rejected(entry, **options):
    with pytest.raises(LockError) as error:
        lock = locked(entry, **options)
        select(lock, PYTHON)
    return str(error.value)


def wheel(name="mycode-1.0-py3-none-any.whl", digits=A):
    return f'{{ url = "https://f.example/{name}", hashes = {{ sha256 = "{digits}" }} }}'


def pins(lines):
    return [line.split(" --hash=")[0] for line in lines]


# Files that tools wrote. Only the hosts of the index, and the number of wheels, were changed.


def test_file_of_uv():
    lock = read("uv-pylock.toml")
    assert (lock.requires_python, lock.indexes) == (">=3.10", ["https://index.example/simple"])
    lines = select(lock, PYTHON, {"docopt", "gitpkg"})
    assert pins(lines) == [
        "docopt==0.6.2",
        f"gitpkg @ git+file:///srv/git/gitpkg@{COMMIT}",
        "lz4==4.4.5",
        "tblib==3.2.2",
        "toolz==1.2.0",
    ]
    assert lines[2] == f"lz4==4.4.5 --hash=sha256:{LZ4}"
    (address,) = pins(with_addresses(lines[2:3], lock.addresses))
    assert address.startswith("lz4 @ https://files.example/packages/") and "cp311-cp311-manylinux2014_x86_64" in address
    assert to_build(lock, lines, {"docopt", "gitpkg"}) == ["docopt", "gitpkg"]


@pytest.mark.parametrize(
    ("other", "digits"),
    [
        (python("3.12.1"), "24092635f47538b392c4eaeff14c7270d2c8e806bf4be2a6446a378591c5e69e"),
        ({**PYTHON, "machine": "aarch64"}, "609a69c68e7cfcfa9d894dc06be13f2e00761485b62df4e2472f1b66f7b405fb"),
    ],
)
def test_wheel_is_chosen_for_the_interpreter(other, digits):
    lines = select(read("uv-pylock.toml"), other, {"docopt", "gitpkg"})
    assert lines[2] == f"lz4==4.4.5 --hash=sha256:{digits}"


def test_free_threaded_wheel_is_not_taken():
    with pytest.raises(
        LockError, match="lz4 exists only as source for Python 3.13.1 on x86_64 with glibc 2.36. Add lz4 to"
    ):
        select(read("uv-pylock.toml"), python("3.13.1"), {"docopt", "gitpkg"})


def test_file_of_pip():
    lock = read("pip-pylock.toml")
    assert pins(select(lock, PYTHON, {"docopt"})) == ["docopt==0.6.2", "lz4==4.4.5", "toolz==1.2.0"]
    with pytest.raises(LockError, match="docopt exists only as source for .*. Add docopt to dask_environment_build"):
        select(lock, PYTHON)
    with pytest.raises(
        LockError, match="it has no wheel of lz4 for Python 3.12.1 .*. Make the lock for this platform, too"
    ):
        select(lock, python("3.12.1"), {"docopt"})


def test_file_of_poetry():
    lock = read("poetry-pylock.toml")
    assert pins(select(lock, PYTHON)) == ["toolz==1.2.0"]
    with pytest.raises(
        LockError, match="it is for Python >=3.11,<4, not 3.10.2. Set dask_python to another interpreter"
    ):
        select(lock, python("3.10.2"))


def test_only_a_pylock_is_one():
    assert is_pylock((LOCKS / "pip-pylock.toml").read_text())
    assert not is_pylock((LOCKS / "uv.lock").read_text())


# What applies to an interpreter


def test_environments_of_a_lock_are_checked():
    head = f"{HEAD}environments = [\"sys_platform == 'win32'\", \"python_version >= '3.12'\"]\n"
    assert "none of its environments is Python 3.11.2 on x86_64 with glibc 2.36" in rejected(
        f"wheels = [{wheel()}]", head=head
    )
    assert select(locked(f"wheels = [{wheel()}]", head=head), python("3.12.1"))


def test_extras_and_groups_are_left_out_except_the_default_groups():
    text = f'{HEAD}extras = ["fast"]\ndependency-groups = ["dev"]\ndefault-groups = ["base"]\n'
    for name, marker in (
        ("a", "'fast' in extras"),
        ("b", "'dev' in dependency_groups"),
        ("c", "'base' in dependency_groups"),
    ):
        text += (
            f'[[packages]]\nname = "{name}"\nmarker = "{marker}"\nwheels = [{wheel(f"{name}-1.0-py3-none-any.whl")}]\n'
        )
    assert pins(select(parse_pylock(text), PYTHON)) == ["c==1.0"]


def test_python_of_a_package_is_checked():
    entry = f'version = "1.0"\nrequires-python = ">=3.12"\nwheels = [{wheel()}]'
    assert rejected(entry) == "mycode needs Python >=3.12, not 3.11.2. Make the lock for this Python"
    other = f'[[packages]]\nname = "x"\nwheels = [{wheel("x-1-py3-none-any.whl")}]'
    assert pins(select(locked(f"marker = \"python_version > '3.12'\"\n{entry}\n{other}"), PYTHON)) == ["x==1"]


def test_package_twice_is_rejected():
    entry = f'wheels = [{wheel()}]\n[[packages]]\nname = "MyCode"\nwheels = [{wheel()}]'
    assert "'mycode' is pinned twice for Python 3.11.2" in rejected(entry)


def test_best_wheel_and_highest_build_are_taken():
    names = [
        "mycode-1.0-py3-none-any.whl",
        "mycode-1.0-2-cp311-abi3-linux_x86_64.whl",
        "mycode-1.0-10-cp311-abi3-linux_x86_64.whl",
        "mycode-1.0-cp311-abi3-linux_x86_64.whl",
        "no-wheel.whl",
    ]
    entry = (
        f"version = '1.0'\nwheels = [{', '.join(wheel(name, str(number) * 64) for number, name in enumerate(names))}]"
    )
    assert select(locked(entry), PYTHON) == [f"mycode==1.0 --hash=sha256:{'2' * 64}"]


def test_version_may_be_missing():
    assert select(locked(f"wheels = [{wheel()}]"), PYTHON) == [f"mycode==1.0 --hash=sha256:{A}"]


# Sources


def test_source_is_taken_if_it_is_named():
    sdist = f'sdist = {{ url = "https://f.example/mycode-1.0.tar.gz", hashes = {{ sha256 = "{B}" }} }}'
    entry = f'version = "1.0"\n{sdist}\nwheels = [{wheel()}]'
    assert select(locked(entry), PYTHON) == [f"mycode==1.0 --hash=sha256:{A}"]
    assert select(locked(entry), PYTHON, {"mycode"}) == [f"mycode==1.0 --hash=sha256:{B}"]
    with pytest.raises(LockError, match="it has no source of mycode. Remove mycode from dask_environment_build"):
        select(locked(f"wheels = [{wheel()}]"), PYTHON, {"mycode"})


@pytest.mark.parametrize(
    ("archive", "line"),
    [
        ('url = "https://f.example/mycode-1.0-py3-none-any.whl"', "https://f.example/mycode-1.0-py3-none-any.whl"),
        ('url = "https://f.example/m.zip", subdirectory = "a/b"', "https://f.example/m.zip#subdirectory=a/b"),
        ('path = "../mycode-1.0.tar.gz"', "file:///srv/mycode-1.0.tar.gz"),
    ],
)
def test_archive(archive, line):
    lock = locked(f"archive = {{ {archive}, hashes = {{ sha512 = '{'d' * 128}' }} }}")
    assert select(lock, PYTHON) == [f"mycode @ {line} --hash=sha512:{'d' * 128}"]


@pytest.mark.parametrize(
    ("vcs", "line"),
    [
        ('url = "https://a.example/x.git"', f"git+https://a.example/x.git@{COMMIT}"),
        ('url = "ssh://git@a.example/x", subdirectory = "py"', f"git+ssh://git@a.example/x@{COMMIT}#subdirectory=py"),
        ('path = "../x"', f"git+file:///srv/x@{COMMIT}"),
    ],
)
def test_commit_of_git(vcs, line):
    lock = locked(f'vcs = {{ type = "git", {vcs}, requested-revision = "main", commit-id = "{COMMIT}" }}')
    assert select(lock, PYTHON) == [f"mycode @ {line}"]


def test_wheel_beside_the_lock_is_checked(tmp_path):
    path = build_wheel(tmp_path, "mycode")
    one = lock_line(path).split("--hash=sha256:")[1].strip()
    text = (
        f'{HEAD}[[packages]]\nname = "mycode"\nwheels = [{{ path = "{path.name}", hashes = {{ sha256 = "{one}" }} }}]\n'
    )
    assert select(parse_pylock(text, str(tmp_path)), PYTHON) == [f"mycode @ file://{path} --hash=sha256:{one}"]
    build_wheel(tmp_path, "mycode", source="changed = True\n")
    with pytest.raises(LockError, match="does not match its hash in the lock: it was built again"):
        select(parse_pylock(text, str(tmp_path)), PYTHON)
    path.unlink()
    with pytest.raises(LockError, match="mycode is locked as .*, which does not exist"):
        select(parse_pylock(text, str(tmp_path)), PYTHON)


# Hashes


def test_sha256_is_taken_of_several_hashes():
    hashes = f'blake2b = "{"f" * 128}", sha512 = "{"e" * 128}", sha256 = "{A}", md5 = "{"d" * 32}"'
    entry = f'wheels = [{{ url = "https://f.example/mycode-1.0-py3-none-any.whl", hashes = {{ {hashes} }} }}]'
    assert select(locked(entry), PYTHON) == [f"mycode==1.0 --hash=sha256:{A}"]


@pytest.mark.parametrize("hashes", ["", f'md5 = "{"d" * 32}"', f'blake2b = "{"f" * 128}"', 'sha256 = "abc"'])
def test_file_without_a_strong_hash_is_rejected(hashes):
    entry = f'wheels = [{{ url = "https://f.example/mycode-1.0-py3-none-any.whl", hashes = {{ {hashes} }} }}]'
    assert rejected(entry) == "a file of mycode has no sha256, sha384 or sha512 hash. Make the lock again"


# Rejected files


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            'directory = { path = ".", editable = true }',
            "mycode is the directory ., whose content no hash pins. Leave it out",
        ),
        (
            f'vcs = {{ type = "hg", url = "https://a.example/x", commit-id = "{COMMIT}" }}',
            "mycode is in hg, and only git is",
        ),
        (
            'vcs = { type = "git", url = "https://a.example/x", commit-id = "main" }',
            "mycode is locked as git+https://a.exa",
        ),
        (
            f'vcs = {{ type = "git", url = "ext::sh -c x", commit-id = "{COMMIT}" }}',
            "'ext::sh -c x' of mycode is not a URL",
        ),
        ('version = "1.0"', "mycode has no file, and needs one source. Make the lock again"),
        (
            f'directory = {{ path = "." }}\nwheels = [{wheel()}]',
            "mycode has directory and wheels, and needs one source",
        ),
        (
            f'version = "2.0"\nwheels = [{wheel()}]',
            "mycode-1.0-py3-none-any.whl is not a file of mycode 2.0. Make the lock",
        ),
        (
            'marker = "nonsense"\nversion = "1.0"\nwheels = []',
            "the marker 'nonsense' of mycode cannot be read. Install the",
        ),
        (
            'wheels = [{ url = "https://f.example/x" }]',
            "it is not a valid pylock.toml: a value is missing or of the wrong type",
        ),
        ("wheels = 5", "it is not a valid pylock.toml: a value is missing or of the wrong type"),
        ("wheels = [", "it is not a valid pylock.toml: "),
    ],
)
def test_unusable_packages_are_rejected(entry, said):
    assert rejected(entry).startswith(said)


def test_name_that_is_none_is_rejected():
    assert rejected(f"wheels = [{wheel()}]", name="my code @ x").startswith("'my code @ x' is not a name of a package")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('lock-version = "2.0"\n', "it is a pylock.toml of version 2.0, and only version 1 is known"),
        (f"{HEAD}packages = []\n", "it contains no package"),
        (
            f'lock-version = "1.0"\npackages = {"[" * 3000}{"]" * 3000}',
            "it is not a valid pylock.toml: it is nested too",
        ),
        (HEAD, "it is not a valid pylock.toml: a value is missing or of the wrong type ('packages'). Make it again"),
    ],
)
def test_unusable_files_are_rejected(text, said):
    with pytest.raises(LockError) as error:
        parse_pylock(text)
    assert str(error.value).startswith(said)


def test_later_minor_version_is_accepted():
    assert locked(f"wheels = [{wheel()}]", head='lock-version = "1.7"\n')


def test_passwords_are_not_shown():
    entry = f'vcs = {{ type = "git", url = "https://ada:canary@a.example/x", commit-id = "{COMMIT[:7]}" }}'
    assert "canary" not in rejected(entry)


def test_old_python_on_the_controller_is_reported(monkeypatch):
    assert sys.version_info >= (3, 11)
    monkeypatch.setattr(pylock, "tomllib", None)
    with pytest.raises(LockError, match="needs Python 3.11 or newer on the controller"):
        parse_pylock(HEAD)
