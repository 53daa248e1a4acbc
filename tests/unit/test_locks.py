# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of a lock for an interpreter, checks of wheels, and texts for messages."""

import hashlib

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    LockError,
    PackagesError,
    check_local_wheels,
    check_wheels,
    identity,
    is_url,
    matches,
    name_and_version,
    package_differences,
    platform_tags,
    redacted,
    select,
    strong,
    to_build,
    uv_platform,
    wheel_tags,
    with_addresses,
    without_credentials,
)
from wheels import PYTHON, UV, A, B, C, D, build_wheel, hash_of, python

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "version, bokeh", [("3.11.2", f"bokeh==3.9.2 --hash={A} --hash={B}"), ("3.12.0", f"bokeh==3.10.2 --hash={C}")]
)
def test_markers_select_the_packages_of_an_interpreter(version, bokeh):
    assert select(parse_lock(UV), python(version)) == [bokeh, f"prometheus-client==0.25.0 --hash={D}"]


@pytest.mark.parametrize(
    "lock, reason",
    [
        # Names are compared in their normalized form (PEP 503).
        (f"a.b==1 --hash={A}\nA-B==2 --hash={B}\n", "'a-b' is pinned twice for Python 3.11.2"),
        (
            f"a==1 --hash={A}\na==1 --hash={B}\n",
            "'a' is pinned twice for Python 3.11.2",
        ),
        (f"a==1 --hash={A}\na @ https://h.example/a-1.tar.gz --hash={A}\n", "'a' is pinned twice for Python 3.11.2"),
        (f"a==1 ; sys_platform == 'win32' --hash={A}\n", "no package in it is for Python 3.11.2"),
        (f"a==1 ; python_version ~= 'x' --hash={A}\n", "of a compares what cannot be compared. Make the lock again"),
    ],
)
def test_lock_without_usable_packages_for_an_interpreter_is_rejected(lock, reason):
    parsed = parse_lock(lock)
    with pytest.raises(LockError) as error:
        select(parsed, python("3.11.2"))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "lock, line",
    [
        (f"a==1 --hash={A}\nA==1 --hash={A}\n", f"a==1 --hash={A}"),
        (f"a==1 --hash={A} --hash={B}\na==1 ; python_version > '3' --hash={B} --hash={C}\n", f"a==1 --hash={B}"),
        (f"a @ git+https://h.example/a@{COMMIT}\n" * 2, f"a @ git+https://h.example/a@{COMMIT}"),
    ],
)
def test_same_pin_in_several_files_of_a_lock_counts_once(lock, line):
    """The hashes of both pins apply, as for pip. Layers of locks pin the packages that they share."""
    assert select(parse_lock(lock), python("3.11.2")) == [line]


@pytest.mark.parametrize(
    "machine, libc, name",
    [
        ("x86_64", ["glibc", "2.36"], "x86_64-manylinux_2_36"),
        ("aarch64", ["glibc", "2.17"], "aarch64-manylinux_2_17"),
        ("x86_64", ["glibc", "2.30"], "x86_64-manylinux_2_28"),  # the newest older name that uv knows
        ("x86_64", ["glibc", "2.99"], "x86_64-manylinux_2_40"),
        ("x86_64", ["musl", "1.2.4"], "x86_64-unknown-linux-musl"),
    ],
)
def test_platform_name_for_uv(machine, libc, name):
    assert uv_platform(machine, libc) == name


@pytest.mark.parametrize("machine, libc", [("ppc64le", ["glibc", "2.36"]), ("x86_64", ["glibc", "2.12"])])
def test_platform_unknown_to_uv_is_rejected(machine, libc):
    with pytest.raises(PackagesError, match=f"for {machine} with glibc .*: set dask_environment_source to index"):
        uv_platform(machine, libc)


def test_platform_tags_end_with_the_hosts_own_c_library():
    tags = platform_tags("x86_64", ["glibc", "2.17"])
    assert tags[0] == "manylinux_2_17_x86_64"
    assert {"manylinux2014_x86_64", "manylinux1_x86_64"} <= set(tags)
    assert not any("_2_18" in tag for tag in tags)
    assert "manylinux2014_aarch64" not in platform_tags("aarch64", ["glibc", "2.12"])
    assert "musllinux_1_2_x86_64" in platform_tags("x86_64", ["musl", "1.2.4"])


@pytest.fixture
def fails(tmp_path):
    """Return a function that checks wheels, given as arguments of `build_wheel` by name, and returns the error or ''."""

    def check(version="3.11.2", **wheels):
        paths = [str(build_wheel(tmp_path, name, **about)) for name, about in wheels.items()]
        try:
            check_wheels(paths, python(version))
        except LockError as error:
            return str(error)
        return ""

    return check


def test_complete_wheels_are_accepted(fails):
    assert not fails(
        one={"requires": ["two>=1,<2", "typing-extensions ; python_version < '3.10'", "pytest ; extra == 'test'"]},
        two={"version": "1.5", "requires_python": ">=3.10"},
    )


def test_names_are_compared_normalized(fails):
    assert not fails(one={"requires": ["Two_Words"]}, two_words={})


def test_development_version_satisfies_a_requirement(fails):
    assert not fails(one={"requires": ["two>=1.0"]}, two={"version": "1.1.dev3"})


def test_missing_package_is_reported(fails):
    # A lock made for Python 3.12 lacks packages that only 3.11 needs.
    message = fails(one={"requires": ["exceptiongroup ; python_version < '3.12'"]})
    assert message.startswith("one needs exceptiongroup, which the lock does not contain for Python 3.11.2")
    assert "the lock is for another Python, or incomplete" in message


def test_package_for_another_python_is_not_required(fails):
    assert not fails("3.12.1", one={"requires": ["exceptiongroup ; python_version < '3.12'"]})


def test_wheel_for_another_python_is_reported(fails):
    message = fails(one={"requires_python": ">=3.12"})
    assert message == "one 1.0 needs Python >=3.12, not 3.11.2: the lock is for another Python. Make it for Python 3.11"


def test_unsuitable_version_is_reported(fails):
    message = fails(one={"requires": ["two>=2"]}, two={"version": "1.5"})
    assert message == "one needs two>=2, but the lock contains 1.5. Make the lock again"


# Wheels on the controller


@pytest.mark.parametrize("line", ["./wheels/{name}", "mycode @ file://{path}", "--find-links wheels\nmycode==1.0"])
def test_rebuilt_wheel_with_another_hash_is_rejected(own, tmp_path, line):
    lock = f"{line.format(name=own.name, path=own)} --hash={hash_of(own)}\n"
    check_local_wheels(parse_lock(lock, str(tmp_path)))
    build_wheel(own.parent, "mycode", source="changed = True\n")
    with pytest.raises(
        LockError, match=r"mycode-1.0-py3-none-any.whl does not match its hash in the lock.*Make the lock again"
    ):
        check_local_wheels(parse_lock(lock, str(tmp_path)))


def test_url_of_a_relative_path_is_rejected(tmp_path):
    lock = parse_lock(f"mycode @ file:mycode-1.0-py3-none-any.whl --hash={A}\n", str(tmp_path))
    with pytest.raises(LockError, match="has no usable location: write only the path .* relative to the lock"):
        check_local_wheels(lock)


def test_missing_wheel_is_rejected(own, tmp_path):
    lock = f"./wheels/{own.name} --hash={hash_of(own)}\n"
    own.unlink()
    with pytest.raises(LockError, match="mycode is locked as .*/mycode-1.0-py3-none-any.whl, which does not exist"):
        check_local_wheels(parse_lock(lock, str(tmp_path)))


@pytest.mark.parametrize(
    "option",
    [
        "--find-links wheels",
        "--find-links=./wheels",
        "-f wheels",
        "-fwheels",
        "-f 'wheels'",
        "-f file://{tmp_path}/wheels",
    ],
)
def test_package_on_an_index_with_the_name_of_a_local_wheel_is_rejected(own, tmp_path, option):
    with pytest.raises(
        LockError, match="'mycode==99.0' is not the version in .*wheels .1.0.: a package of that name on an index"
    ):
        option = option.format(tmp_path=tmp_path)
        check_local_wheels(parse_lock(f"{option}\nmycode==99.0 --hash={A}\n", str(tmp_path)))


def test_other_wheels_of_the_same_version_may_be_in_the_directory(own, tmp_path):
    build_wheel(own.parent, "mycode", tag="cp311-cp311-manylinux_2_17_x86_64", source="compiled = True\n")
    check_local_wheels(parse_lock(f"--find-links wheels\nmycode==1.0 --hash={hash_of(own)}\n", str(tmp_path)))


# Differences


def test_differences_show_added_removed_and_changed_packages():
    before = {"dask": "2026.7.0", "lz4": "4.0", "Prometheus_Client": "0.25.0"}
    (diff,) = package_differences(before, {"dask": "2026.8.0", "prometheus-client": "0.25.0", "numpy": "2.0"})
    assert (diff["before"], diff["after"]) == ("dask==2026.7.0\nlz4==4.0\n", "dask==2026.8.0\nnumpy==2.0\n")
    assert package_differences(before, before) == []


@pytest.mark.parametrize(
    "line, expected",
    [
        (f"dask==2026.8.0 --hash={A}", ("dask", "2026.8.0")),
        (f"mycode @ file:///w/mycode-1.0-py3-none-any.whl --hash={A}", ("mycode", "1.0")),
        (f"mycode @ https://a.example/mycode.zip --hash={A}", ("mycode", "https://a.example/mycode.zip")),
    ],
)
def test_version_of_a_locked_package(line, expected):
    assert name_and_version(line) == expected


# Sources


@pytest.mark.parametrize(
    ("line", "same"),
    [
        (f"dask==1 --hash={A}", f"dask==1 --hash={A}"),
        (f"x @ https://ada:canary@a.example/w/x-1.tar.gz --hash={A}", f"x @ x-1.tar.gz --hash={A}"),
        (
            f"x @ https://a.example/x-1.tar.gz#subdirectory=a/b --hash={A}",
            f"x @ x-1.tar.gz#subdirectory=a/b --hash={A}",
        ),
        (f"x @ git+https://ada:canary@a.example/x@{COMMIT}", f"x @ {COMMIT}"),
        (f"x @ git+ssh://git@a.example/x@{COMMIT}#subdirectory=a/b", f"x @ {COMMIT}#subdirectory=a/b"),
    ],
)
def test_identity_of_a_package_has_no_origin(line, same):
    assert identity(line) == same


def test_addresses_replace_versions():
    lines = [f"a==1 --hash={A}", f"b==1 --hash={B}"]
    assert with_addresses(lines, {A: "https://f.example/a-1-py3-none-any.whl"}) == [
        f"a @ https://f.example/a-1-py3-none-any.whl --hash={A}",
        f"b==1 --hash={B}",
    ]


SOURCES = {
    "git": f"mycode @ git+https://ada:canary@a.example/mycode@{COMMIT}\n",
    "URL": f"mycode @ https://ada:canary@a.example/mycode-1.0.tar.gz --hash={A}\n",
    "option": f"--no-binary mycode\nMyCode==1.0 --hash={A}\n",
}


@pytest.mark.parametrize("text", SOURCES.values(), ids=SOURCES)
def test_source_is_accepted_only_if_its_build_is_allowed(text):
    lock = parse_lock(f"{text}dask==1 --hash={A}\n")
    lines = select(lock, PYTHON)
    assert to_build(lock, lines, {"mycode"}) == ["mycode"]
    with pytest.raises(LockError, match="Add mycode to dask_environment_build, so that the controller builds") as error:
        to_build(lock, lines, set())
    assert "canary" not in str(error.value)


def test_source_for_another_platform_needs_no_build():
    lock = parse_lock(f"x @ git+https://a.example/x@{COMMIT} ; sys_platform == 'win32'\ndask==1 --hash={A}\n")
    assert to_build(lock, select(lock, PYTHON), {"x"}) == to_build(lock, select(lock, PYTHON), set()) == []


def test_package_with_a_wheel_is_built_if_it_is_named():
    lock = parse_lock(f"dask==1 --hash={A}\n")
    assert to_build(lock, select(lock, PYTHON), {"dask"}) == ["dask"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"toolz==1 --hash={A}\n", "it has no package dask. Remove dask from dask_environment_build, or correct it"),
        (f"dask @ https://a.example/dask-1-py3-none-any.whl --hash={A}\n", "which needs no build. Remove dask from"),
    ],
)
def test_package_that_cannot_be_built_is_rejected(text, said):
    lock = parse_lock(text)
    with pytest.raises(LockError, match=said):
        to_build(lock, select(lock, PYTHON), {"dask"})


# Texts and hashes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:pw@a.example/x", "https://****@a.example/x"),
        (
            "--index-url=https://token@a.example and https://ada:pw@b.example",
            "--index-url=https://****@a.example and https://****@b.example",
        ),
        ("https://ada:p@ss@a.example/x", "https://****@a.example/x"),
        ("https://ada:p/ss@a.example/x", "https://****@a.example/x"),
        (f"git+https://ada:pw@a.example/x@{COMMIT}", f"git+https://****@a.example/x@{COMMIT}"),
        (f"git+https://a.example:8443/x@{COMMIT}", f"git+https://a.example:8443/x@{COMMIT}"),
        (f"git+ssh://git@a.example/x@{COMMIT}", f"git+ssh://git@a.example/x@{COMMIT}"),
        ("a@b.example https://a.example/@x", "a@b.example https://a.example/@x"),
    ],
)
def test_passwords_of_urls_are_not_shown(text, shown):
    assert redacted(text) == shown
    assert without_credentials(text) == shown.replace("****@", "")


@pytest.mark.parametrize(
    "text",
    ["https://a.example", "http://ada:pw@127.0.0.1:8080/simple", "file:///srv/index", "https://ada:p%2Fw@a.example/"],
)
def test_url_of_an_index(text):
    assert is_url(text)


@pytest.mark.parametrize(
    "text",
    ["https://ada:p/w@a.example", "https://", "simple", "ftp://a.example", "https://a.example:x", "https://[::1"],
)
def test_text_that_is_no_url_of_an_index(text):
    assert not is_url(text)


def test_only_strong_hashes_of_the_right_length_count():
    good = [f"sha256:{'a' * 64}", f"sha384:{'b' * 96}", f"sha512:{'c' * 128}"]
    assert strong([*good, f"md5:{'a' * 32}", f"sha256:{'a' * 96}", f"blake2b:{'a' * 128}", "sha512:"]) == good


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_file_is_compared_with_hashes_of_its_algorithm(tmp_path, algorithm):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    one = f"{algorithm}:{hashlib.new(algorithm, b'content').hexdigest()}"
    assert matches(str(file), [A, one])
    assert not matches(str(file), [A, one[:-1] + ("0" if one[-1] != "0" else "1")])


def test_best_wheel_of_an_interpreter_comes_first():
    tags = wheel_tags(PYTHON)
    wanted = [
        "cp311-cp311-manylinux_2_36_x86_64",
        "cp311-cp311-linux_x86_64",
        "cp311-abi3-linux_x86_64",
        "py3-none-any",
    ]
    assert [tag for tag in tags if tag in wanted] == wanted
    assert not {"cp312-cp312-linux_x86_64", "cp311-cp311t-linux_x86_64", "cp311-cp311-manylinux_2_37_x86_64"} & set(
        tags
    )
