# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning releases and environments on a host, their history, and the differences between releases."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import releases as releases_module
from ansible_collections.daskops.cluster.plugins.module_utils.history import (
    current_release,
    note_change,
    note_switch,
    note_use,
    read_history,
    take_over_history,
)
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    build_time,
    prune,
    read_environment,
    read_release,
    read_releases,
    read_units,
    read_usable_environment,
    releases_to_keep,
    replace_directory,
    set_aside,
    started_services,
)
from ansible_collections.daskops.cluster.plugins.module_utils.units import same_unit, unit_digest, unit_digests
from ansible_collections.daskops.cluster.plugins.modules.change_services import Host
from ansible_collections.daskops.cluster.plugins.modules.inspect_host import release_of
from ansible_collections.daskops.cluster.plugins.modules.stage_release import differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import untried
from hypothesis import given
from hypothesis import strategies as st

# Releases to keep

RELEASES = {
    name: {
        "id": name,
        "environment": "e1",
        "application": "",
        "label": "",
        "staged": staged,
        "previous": "",
        "services": {"worker": {"dask-worker@1.service": f"service-{name}"}},
        "units": {"worker": {}},
    }
    for staged, name in enumerate("abcdef")
}
CHAIN = {"f": "e", "e": "c", "c": "a"}  # b and d are from failed runs


def chained(previous):
    """Return `RELEASES` with the previous release of some of them."""
    return {name: {**about, "previous": previous.get(name, "")} for name, about in RELEASES.items()}


@pytest.mark.parametrize(
    ("keep", "kept"), [(0, "fe"), (1, "fe"), (2, "fe"), (3, "fec"), (4, "feca"), (5, "fecad"), (9, "fecadb")]
)
def test_previous_releases_are_kept_first(keep, kept):
    assert releases_to_keep(chained(CHAIN), "f", set(), keep) == set(kept)


def test_running_releases_are_kept():
    assert releases_to_keep(chained(CHAIN), "f", {"service-b", None}, 1) == {"f", "e", "b"}


def test_newer_releases_are_kept():
    assert releases_to_keep(chained(CHAIN), "d", set(), 1) == {"d", "e", "f"}


def test_cycle_of_previous_releases_ends():
    assert releases_to_keep(chained({"f": "e", "e": "f"}), "f", set(), 2) == {"f", "e"}


@given(
    current=st.sampled_from("abcdef"),
    previous=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdefgh")),
    running=st.sets(st.sampled_from([f"service-{name}" for name in "abcdefgh"])),
    keep=st.integers(0, 8),
)
def test_releases_in_use_are_always_kept(current, previous, running, keep):
    kept = releases_to_keep(chained(previous), current, running, keep)
    assert current in kept
    assert {name for name in RELEASES if f"service-{name}" in running} <= kept
    assert len(kept) >= min(keep, len(RELEASES))


@pytest.fixture
def home(tmp_path):
    """Return a host's directory with the releases a, b and c and an environment for each; c is current."""
    take_over_history(str(tmp_path))
    for staged, name in enumerate("abc"):
        environment = tmp_path / "environments" / f"e-{name}"
        environment.mkdir(parents=True)
        (environment / "environment.json").write_text("{}")
        directory = tmp_path / "releases" / name
        directory.mkdir(parents=True)
        services = {"dask-worker@1.service": {"kind": "worker", "release": f"service-{name}"}}
        manifest = {"id": name, "environment": f"e-{name}", "services": services}
        manifest.update(ports={"dask-worker@1.service": [8800 + staged]}, tls=True, units={"worker": {}})
        manifest.update({"dashboard": "8787/dask/"} if name == "c" else {})
        (directory / "manifest.json").write_text(json.dumps(manifest))
        note_change(str(tmp_path), name, staged)
        if name != "a":
            note_switch(str(tmp_path), name, chr(ord(name) - 1))
        (tmp_path / "current.new").symlink_to(directory)
        (tmp_path / "current.new").rename(tmp_path / "current")
    return tmp_path


def names(home):
    return {kind: sorted(path.name for path in (home / kind).iterdir()) for kind in ("releases", "environments")}


def test_place_of_the_dashboard_is_known_from_the_manifest(home):
    assert [read_release(str(home / "releases" / name))["dashboard"] for name in "bc"] == ["", "8787/dask/"]


def test_environment_outside_is_never_removed(home, tmp_path):
    outside = tmp_path / "nfs/env"
    (outside / "bin").mkdir(parents=True)
    (outside / "bin/python3").symlink_to(sys.executable)
    (home / "environments/e-a/prefix").symlink_to(outside)
    description = json.dumps({"python": "3.12.4", "packages": {}})
    for name in "ab":
        (home / f"environments/e-{name}/environment.json").write_text(description)
    assert read_usable_environment(str(home / "environments/e-a"))
    assert prune(str(home), set(), 2) == [str(home / "environments/e-a"), str(home / "releases/a")]
    assert (outside / "bin/python3").exists() and not (home / "environments/e-a").exists()
    (outside / "bin/python3").unlink()
    (home / "environments/e-b/prefix").symlink_to(outside)
    assert not read_usable_environment(str(home / "environments/e-b"))


def test_release_and_its_environment_are_removed_together(home):
    assert prune(str(home), set(), 2) == [str(home / "environments/e-a"), str(home / "releases/a")]
    assert names(home) == {"releases": ["b", "c"], "environments": ["e-b", "e-c"]}
    assert prune(str(home), set(), 2) == []


def test_applications_of_kept_releases_are_kept(home):
    for name in ("a1", "a2", "a3"):
        (home / "applications" / name / "modules").mkdir(parents=True)
    for name, application in (("a", "a1"), ("b", "a2"), ("c", "")):
        path = home / "releases" / name / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "application": application, "label": ""}))
    assert str(home / "applications/a3") in prune(str(home), {"service-a"}, 2)
    assert sorted(os.listdir(home / "applications")) == ["a1", "a2"]
    assert str(home / "applications/a1") in prune(str(home), set(), 2)
    assert sorted(os.listdir(home / "applications")) == ["a2"]


def test_environment_of_a_running_service_is_kept(home):
    assert prune(str(home), {"service-a"}, 2) == []
    assert names(home) == {"releases": ["a", "b", "c"], "environments": ["e-a", "e-b", "e-c"]}


def test_environment_mapped_by_a_process_is_kept(home):
    library = home / "environments/e-a/library.so"
    library.write_bytes(b"\0" * 4096)
    program = f"""
import mmap
file = open({str(library)!r}, "rb")
loaded = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print(1, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "1\n"
        prune(str(home), set(), 2)
        assert names(home) == {"releases": ["a", "b", "c"], "environments": ["e-a", "e-b", "e-c"]}
        process.communicate("\n")
    prune(str(home), set(), 2)
    assert names(home) == {"releases": ["b", "c"], "environments": ["e-b", "e-c"]}


def build_ahead(home, name, when, modified):
    """Make an environment that was built at a time; an earlier version of the collection did not write the time."""
    description = home / "environments" / name / "environment.json"
    description.parent.mkdir()
    built = {} if when is None else {"built": when}
    description.write_text(json.dumps({"python": "3.11.2", "packages": {}, **built}))
    os.utime(description, (modified, modified))


def test_environment_built_ahead_is_kept(home):
    build_ahead(home, "ahead", 0, 0)  # older than the switch to the current release, which belongs to another change
    (home / "environments/.partial-other").mkdir()
    prune(str(home), set(), 2)
    assert names(home) == {"releases": ["b", "c"], "environments": [".partial-other", "ahead", "e-b", "e-c"]}


def test_only_the_latest_environments_built_ahead_are_kept(home):
    for when, name in enumerate("klm"):
        build_ahead(home, name, when, 9 - when)
    prune(str(home), set(), 2)
    assert names(home)["environments"] == ["e-b", "e-c", "l", "m"]


def test_modification_time_counts_only_for_environments_of_an_earlier_version(home):
    for name, when, modified in (("j", None, 5), ("k", 4, 9), ("l", None, 3), ("m", 6, 1)):
        build_ahead(home, name, when, modified)
    prune(str(home), set(), 2)
    assert names(home)["environments"] == ["e-b", "e-c", "j", "m"]


def test_environment_without_a_readable_description_counts_as_old(home):
    assert build_time(str(home / "environments/none")) == 0
    build_ahead(home, "k", "yesterday", 7)
    assert build_time(str(home / "environments/k")) == 7


def test_interrupted_removal_is_completed(home):
    for name in ("z", "a"):
        (home / f"releases/.removed-{name}/systemd").mkdir(parents=True)
    prune(str(home), set(), 2)
    assert names(home)["releases"] == ["b", "c"]


@pytest.mark.parametrize("what", ["releases/a", "environments/e-a"])
def test_directories_are_removed_if_rename_crosses_devices(home, monkeypatch, what):
    # overlayfs returns EXDEV for directories of a lower layer, such as the image of a container.
    rename = os.rename

    def refuse(source, target):
        if source == str(home / what):
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    prune(str(home), set(), 2)
    assert names(home) == {"releases": ["b", "c"], "environments": ["e-b", "e-c"]}


@pytest.mark.parametrize("name", ["application.json", "environment.json", "manifest.json", "python.json"])
def test_interrupted_removal_across_devices_leaves_no_description(tmp_path, monkeypatch, name):
    """Without its description, an incomplete directory does not count as complete."""
    directory = tmp_path / "a"
    directory.mkdir()
    (directory / name).write_text("{}")

    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link", source)

    def interrupt(path, ignore_errors=False):
        if path == str(directory):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(shutil, "rmtree", interrupt)
    with pytest.raises(KeyboardInterrupt):
        set_aside(str(directory))
    assert directory.exists() and not (directory / name).exists()


def test_directories_are_kept_if_rename_is_not_permitted(home, monkeypatch):
    def refuse(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    before = names(home)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        prune(str(home), set(), 2)
    assert names(home) == before


def test_requested_number_of_releases_is_kept(home):
    prune(str(home), set(), 3)
    assert names(home)["releases"] == ["a", "b", "c"]


def test_release_combines_manifest_and_history(home):
    releases = read_releases(str(home))
    assert [releases[name]["staged"] for name in "abc"] == [0, 1, 2]
    assert [releases[name]["previous"] for name in "abc"] == ["", "a", "b"]
    assert [releases[name]["ports"]["dask-worker@1.service"] for name in "abc"] == [[8800], [8801], [8802]]
    assert current_release(str(home)) == "c"
    (home / "current").unlink()
    assert current_release(str(home)) == ""


def test_only_units_in_the_manifest_are_read(home):
    path = home / "releases/c/systemd/dask-worker@.service"
    path.parent.mkdir()
    path.write_text("[Service]\n")
    (path.parent / "dask-worker-of-somebody").write_text("not in the manifest")
    manifest = json.loads((home / "releases/c/manifest.json").read_text())
    manifest["units"]["worker"][path.name] = unit_digest("[Service]\n")
    (home / "releases/c/manifest.json").write_text(json.dumps(manifest))
    assert read_units(str(home), read_releases(str(home))["c"]) == {"worker": {path.name: "[Service]\n"}}


# The change that a release belongs to


def test_release_of_a_new_change_belongs_to_it(home):
    (home / "releases/d").mkdir()
    note_change(str(home), "d", 7)
    assert read_history(str(home)).releases["d"].staged == 7


def test_release_staged_again_belongs_to_the_new_change(home):
    note_change(str(home), "a", 7)
    assert read_releases(str(home))["a"]["staged"] == 7


def test_release_of_an_interrupted_run_keeps_its_change(home):
    for began in (7, 8):
        note_change(str(home), "b", began)
    assert read_releases(str(home))["b"]["staged"] == 7


def test_current_release_keeps_its_change(home):
    note_change(str(home), "c", 7)
    assert read_releases(str(home))["c"]["staged"] == 2


def test_repaired_release_keeps_its_history(home):
    final, partial = home / "releases/c", home / "releases/.partial-c"
    note_use(str(home), "c", "worker", "served")
    before = read_releases(str(home))["c"]
    (final / "run.sh").write_text("changed")
    shutil.copytree(final, partial, symlinks=True)
    (partial / "run.sh").write_text("as it should be")
    replace_directory(str(final), str(partial))
    assert (home / "current/run.sh").read_text() == "as it should be"
    assert read_releases(str(home))["c"] == before and before["previous"] == "b" and before["served"] == ["worker"]
    assert names(home)["releases"] == ["a", "b", "c"]


@pytest.mark.parametrize("use", ["served", "tried"])
def test_services_are_untried_until_they_served_or_were_tried(home, use):
    services = {"worker": {"dask-worker@1.service": "service-b"}, "scheduler": {"dask-scheduler.service": "other"}}

    def left():
        return untried(started_services(read_releases(str(home))), services)

    assert left() == ["dask-scheduler.service", "dask-worker@1.service"]
    note_use(str(home), "a", "worker", use)
    assert left() == ["dask-scheduler.service", "dask-worker@1.service"]
    # Release b contains the same release of this service.
    note_use(str(home), "b", "worker", use)
    assert left() == ["dask-scheduler.service"]


def test_abandoned_change_does_not_affect_other_releases(home):
    note_change(str(home), "b", 7)
    note_change(str(home), "c", 8)
    assert [read_releases(str(home))[name]["staged"] for name in "abc"] == [0, 2, 2]


# Units


def test_service_that_does_not_run_has_no_release():
    assert release_of("dask-worker@1.service", "service-a", RELEASES)["id"] == "a"
    assert release_of("dask-worker@1.service", "service-x", RELEASES) == {}
    assert release_of("dask-scheduler.service", None, RELEASES) == {}
    assert release_of("dask-scheduler.service", "", RELEASES) == {}


def test_units_differ_by_settings_and_not_by_comments():
    unit = unit_digests({"dask-worker@.service": "[Service]\nLimitNOFILE=1\n"})
    comment = unit_digests({"dask-worker@.service": "# Read this\n[Service]\n\nLimitNOFILE=1\n"})
    other = unit_digests({"dask-worker@.service": "[Service]\nLimitNOFILE=2\n"})
    assert same_unit("dask-worker@1.service", unit, comment)
    assert not same_unit("dask-worker@1.service", unit, other)
    drop_in = {**unit, **unit_digests({"dask-worker@1.service.d/daskops.conf": "[Service]\nMemoryMax=1\n"})}
    assert not same_unit("dask-worker@1.service", unit, drop_in)
    assert same_unit("dask-worker@2.service", unit, drop_in)
    assert same_unit("dask-scheduler.service", unit, {})


# Differences shown with --diff

ENVIRONMENT = """# Threads
OMP_NUM_THREADS=1
PASSWORD="{password}"
DASKOPS_SHUTDOWN_TOKEN="{password}"
DASKOPS_ARGUMENTS=tls://10.0.0.1:8786 --nthreads {threads}
"""


def changed(**changes):
    """Return the differences between two releases by path."""
    texts = {"password": "hunter2", "threads": 2, "id": "a", "hand": ""}

    def files(password, threads, id, hand):
        return {
            "manifest.json": json.dumps({"id": id, "files": {"run.sh": id}}) + hand,
            "services/dask-worker@1.service.env": ENVIRONMENT.format(password=password, threads=threads),
            "services/dask-worker@1.service.release": id,
            "systemd/dask-worker@.service": id,
            "worker/dask_configuration.yaml": id,
        }

    return {one["before_header"]: one for one in differences(files(**texts), files(**{**texts, **changes}))}


def test_differences_show_arguments_and_no_secrets():
    (found,) = changed(threads=4, password="hunter3").values()
    assert "--nthreads 2\n" in found["before"] and "--nthreads 4\n" in found["after"]
    assert "PASSWORD=(not shown)\nDASKOPS_SHUTDOWN_TOKEN=(not shown)\n" in found["after"]
    assert "hunter" not in str(found)


def test_differences_show_that_a_secret_changed():
    (found,) = changed(password="hunter3").values()
    assert found["before"] != found["after"] and "hunter" not in str(found)


# str.splitlines() splits at these characters, systemd does not.
@pytest.mark.parametrize("character", ["\r", "\f", "\v", "\x1c", "\x85", "\u2028"])
@pytest.mark.parametrize("rest", ["hunter", "#hunter", "DASK_CONFIG=hunter"])
def test_secrets_with_unusual_line_ends_are_not_shown(character, rest):
    (found,) = changed(password=f"a{character}{rest}").values()
    assert "hunter" not in found["after"]


def test_new_release_name_is_shown_once():
    found = changed(id="b")
    assert list(found) == ["manifest.json", "worker/dask_configuration.yaml"]
    assert '"id": "b"' in found["manifest.json"]["after"] and "run.sh" not in found["manifest.json"]["after"]
    assert list(changed(hand="by hand")) == ["manifest.json"]


def test_files_of_the_collection_are_summarized():
    own = {"run.sh": "#!/bin/sh\n", "python/daskops_runtime/drain.py": "pass\n"}
    files = {**own, "python/greeting.py": "pass\n", "worker/dask_configuration.yaml": "distributed: {}\n"}
    assert [one["after_header"] for one in differences({}, files)] == [
        "python/greeting.py",
        "worker/dask_configuration.yaml",
    ]
    newer = {**files, "python/daskops_runtime/drain.py": "more = 1\n"}
    (one,) = differences(files, newer)
    assert one["after_header"] == "files of the collection"
    assert (
        one["before"].startswith("version ") and one["after"].startswith("version ") and one["before"] != one["after"]
    )


# Unreadable data


@pytest.mark.parametrize("name", ["café.bin".encode("latin-1"), b"\xff/environments/e-a/\x0b.bin", b"a\nb"])
def test_mapped_files_with_unusual_names_do_not_prevent_pruning(home, tmp_path, name):
    path = os.fsencode(tmp_path) + b"/files/" + name
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(b"\0" * 4096)
    program = "import mmap, os, sys; file = open(os.fsencode(sys.argv[1]), 'rb'); "
    program += "kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "1\n"
        assert prune(str(home), set(), 2) == [str(home / "environments/e-a"), str(home / "releases/a")]
        process.communicate("\n")


def test_search_for_environments_in_use_has_a_time_limit(home, monkeypatch):
    monkeypatch.setattr(releases_module, "PATIENCE", -1)
    before = names(home)
    with pytest.raises(TimeoutError, match="finding the directories in use in .*/environments took"):
        prune(str(home), set(), 2)
    assert names(home) == before


MANIFEST = {"id": "a", "environment": "e-a", "services": {"dask-worker@1.service": {"kind": "worker", "release": "r"}}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b'{"id": "a"',
        b"[]",
        b"null",
        b'{"id": "a", "environment": "e", "services": []}',
        b'{"id": "a", "environment": "e", "services": {"dask-worker@1.service": 1}}',
        json.dumps({**MANIFEST, "id": 1}).encode(),
        json.dumps({**MANIFEST, "environment": ["e"]}).encode(),
        json.dumps(MANIFEST).encode("utf-16"),
    ],
)
def test_damaged_release_is_ignored(home, content):
    (home / "releases/a/manifest.json").write_bytes(content)
    assert read_release(str(home / "releases/a")) == {}
    (home / "environments/e-a/environment.json").write_bytes(content)
    assert read_environment(str(home / "environments/e-a")) == {}
    prune(str(home), set(), 2)
    assert "b" in names(home)["releases"]


def test_valid_release_is_read(home):
    (home / "releases/a/manifest.json").write_text(json.dumps(MANIFEST))
    assert read_release(str(home / "releases/a"))["services"] == {"worker": {"dask-worker@1.service": "r"}}


class Module:
    """A stand-in for AnsibleModule with a fixed result of each command."""

    def __init__(self, output="", status=0, errors=""):
        self.answer = status, output, errors
        self.warnings = []

    def run_command(self, command):
        return self.answer

    def warn(self, message):
        self.warnings.append(message)


def test_failure_to_prune_causes_a_warning(home, monkeypatch):
    host = object.__new__(Host)
    host.home = str(home)
    host.module = Module(status=1, errors="Failed to connect to bus")
    assert host.prune(2) == []
    host.module.answer = 0, "", ""
    monkeypatch.setattr(
        os, "rename", lambda *dummy: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system"))
    )
    assert host.prune(2) == []
    bus, disk = host.module.warnings
    assert "Failed to connect to bus" in bus and "Read-only file system" in disk
    assert all("were not removed" in warning and "tries again" in warning for warning in (bus, disk))
