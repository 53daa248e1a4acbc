# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release manifests, and the services that a change of a file restarts."""

import copy

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.units import unit_digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import (
    digest,
    make_manifest,
    service_releases,
)
from hypothesis import given
from hypothesis import strategies as st

SCHEDULER = "dask-scheduler.service"
WORKERS = ["dask-worker@1.service", "dask-worker@2.service"]
SERVICES = {SCHEDULER: "scheduler", **dict.fromkeys(WORKERS, "worker")}
BOTH = ["scheduler", "worker"]


def file(path, content, kinds, service=None):
    kind = "scheduler" if "scheduler" in path else "worker"
    return {"path": path, "content": content, "kinds": kinds, "kind": kind, "service": service}


FILES = [
    file("dask_configuration.yaml", "# Written for you.\na: 1\n\nb:\n  - 2\n", BOTH),
    file("python/ours.py", "# Why.\nx = 1\n", BOTH),
    file("python/theirs.py", "y = 1\n", ["worker"]),
    file("systemd/dask-scheduler.service", "[Service]\n", ["scheduler"]),
    file("systemd/dask-worker@.service", "[Service]\n", ["worker"]),
    file("systemd/dask-workers.target", "[Unit]\n", []),
    file(f"services/{SCHEDULER}.env", "A=1\n", ["scheduler"], SCHEDULER),
    *(file(f"services/{worker}.env", f"A={worker}\n", ["worker"], worker) for worker in WORKERS),
]
PATHS = [f["path"] for f in FILES]
PORTS = [
    {"port": 8786, "unit": SCHEDULER},
    {"port": 8900, "unit": WORKERS[0]},
    {"port": 8800, "unit": WORKERS[0]},
    {"port": 443, "unit": "nginx.service"},
]


def changed(path, change):
    """Return `FILES` with one file changed."""
    files = copy.deepcopy(FILES)
    (one,) = (f for f in files if f["path"] == path)
    one["content"] = change(one["content"])
    return files


def restarted(files, environment="environment", application="", label=""):
    """Return the services whose release id differs with these files."""
    before = service_releases("environment", "", "", FILES, SERVICES)
    after = service_releases(environment, application, label, files, SERVICES)
    return {service for service in SERVICES if before[service] != after[service]}


@pytest.mark.parametrize(
    "path, services",
    [
        ("dask_configuration.yaml", {SCHEDULER, *WORKERS}),
        ("python/ours.py", {SCHEDULER, *WORKERS}),
        ("python/theirs.py", set(WORKERS)),
        ("systemd/dask-scheduler.service", {SCHEDULER}),
        ("systemd/dask-worker@.service", set(WORKERS)),
        ("systemd/dask-workers.target", set()),
        (f"services/{SCHEDULER}.env", {SCHEDULER}),
        (f"services/{WORKERS[0]}.env", {WORKERS[0]}),
    ],
)
def test_change_restarts_the_services_that_read_the_file(path, services):
    more = "more: 1\n" if path.endswith(".yaml") else "more\n"
    assert restarted(changed(path, lambda content: content + more)) == services


def test_new_environment_restarts_all_services():
    assert restarted(FILES, environment="another") == set(SERVICES)


def test_application_restarts_all_services():
    # The scheduler imports the application, too, because it reads the functions of tasks.
    assert restarted(FILES, application="a1") == set(SERVICES)
    manifests = [make_manifest("environment", name, "", FILES, SERVICES, PORTS, True) for name in ("", "a1", "a2")]
    assert len({manifest["id"] for manifest in manifests}) == 3
    assert [manifest["application"] for manifest in manifests] == ["", "a1", "a2"]
    # A label is no application.
    assert restarted(FILES, application="a1") != restarted(FILES, label="a1")


def test_label_restarts_the_workers_and_renames_the_release():
    # The label is a resource of the workers. A restart of the scheduler would lose its tasks.
    assert restarted(FILES, label="v1.4") == set(WORKERS)
    labels = ("", "v1.4", "v1.5")
    manifests = [make_manifest("environment", "", label, FILES, SERVICES, PORTS, True) for label in labels]
    assert len({manifest["id"] for manifest in manifests}) == 3
    assert [manifest["label"] for manifest in manifests] == list(labels)
    # Clients select workers by this part of the release: each label has its own.
    assert len({manifest["services"][WORKERS[0]]["release"].split(".")[0] for manifest in manifests}) == 3


comments = st.lists(st.sampled_from(["", "   ", "# a comment", "    # an indented one", "#"]))


@given(path=st.sampled_from([p for p in PATHS if not p.endswith(".py")]), comments=comments, data=st.data())
def test_comments_and_blank_lines_in_settings_restart_nothing(path, comments, data):
    def comment(content):
        lines = content.splitlines()
        for line in comments:
            lines.insert(data.draw(st.integers(0, len(lines))), line)
        return "".join(line + data.draw(st.sampled_from(["", "  "])) + "\n" for line in lines)

    assert restarted(changed(path, comment)) == set()


def test_any_change_of_code_restarts():
    # In Python code a line with `#` may be part of a string, and tracebacks must show the line numbers of the process.
    assert restarted(changed("python/ours.py", lambda content: content + "\n")) == set(SERVICES)


def test_indentation_that_changes_settings_restarts():
    before = [file("dask_configuration.yaml", "a:\n  b: 1\n  c: 2\n", BOTH)]
    after = [file("dask_configuration.yaml", "a:\n  b: 1\nc: 2\n", BOTH)]
    assert service_releases("e", "", "", before, SERVICES) != service_releases("e", "", "", after, SERVICES)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dask_configuration.yaml", "text: |\n  import this\n  # {}\n"),
        ("dask_configuration.yaml", "text: 'one\n\n  # {}\n\n  two'\n"),
        (f"services/{SCHEDULER}.env", 'A=1\nTEXT="one\n# {}\ntwo"\nB=2\n'),
        (f"services/{SCHEDULER}.env", 'TEXT="a \\" quoted\n# {}\n\\\\"\n'),
    ],
)
def test_hash_sign_inside_a_value_is_no_comment(path, content):
    def releases(line):
        return service_releases(
            "e", "", "", [file(path, content.format(line), ["scheduler"])], {SCHEDULER: "scheduler"}
        )

    assert releases("before") != releases("after")


def test_comments_around_a_multiline_value_restart_nothing():
    def releases(content):
        files = [file(f"services/{SCHEDULER}.env", content, ["scheduler"], SCHEDULER)]
        return service_releases("e", "", "", files, {SCHEDULER: "scheduler"})

    assert releases('A="one\ntwo"\nB=2\n') == releases('# A comment.\n\nA="one\ntwo"\n# "Another.\nB=2\n')
    assert releases('A="C:\\\\"\nB=2\n') == releases('A="C:\\\\"\n# A comment.\nB=2\n')


@given(path=st.sampled_from(PATHS), position=st.integers(0), character=st.characters(codec="utf-8"))
def test_any_byte_changes_the_id(path, position, character):
    def insert(content):
        at = position % (len(content) + 1)
        return content[:at] + character + content[at:]

    before = make_manifest("environment", "", "", FILES, SERVICES, PORTS, True)
    after = make_manifest("environment", "", "", changed(path, insert), SERVICES, PORTS, True)
    assert before["id"] != after["id"]


@given(files=st.permutations(FILES), services=st.permutations(list(SERVICES.items())))
def test_order_does_not_matter(files, services):
    other = make_manifest("environment", "", "", files, dict(services), PORTS, True)
    assert other == make_manifest("environment", "", "", FILES, SERVICES, PORTS, True)


def test_additional_worker_restarts_no_other_service():
    more = "dask-worker@3.service"
    files = [*FILES, file(f"services/{more}.env", "A=3\n", ["worker"], more)]
    before = service_releases("environment", "", "", FILES, SERVICES)
    after = service_releases("environment", "", "", files, {**SERVICES, more: "worker"})
    assert {service: after[service] for service in SERVICES} == before


def test_equal_workers_on_two_hosts_share_the_first_part_of_their_release():
    # The health check compares this part across hosts to find an unfinished upgrade.
    releases = service_releases("environment", "", "", FILES, SERVICES)
    kinds = {service: release.split(".")[0] for service, release in releases.items()}
    assert kinds[WORKERS[0]] == kinds[WORKERS[1]] != kinds[SCHEDULER]
    alone = service_releases("environment", "", "", FILES, {WORKERS[0]: "worker"})
    assert alone[WORKERS[0]] == releases[WORKERS[0]]


def test_manifest_lists_its_contents():
    manifest = make_manifest("environment", "", "", FILES, SERVICES, PORTS, True)
    assert manifest["environment"] == "environment"
    assert {name: about["kind"] for name, about in manifest["services"].items()} == SERVICES
    assert sorted(manifest["files"]) == sorted(PATHS)
    assert manifest["ports"] == {SCHEDULER: [8786], WORKERS[0]: [8800, 8900], WORKERS[1]: []}
    assert manifest["tls"] is True
    assert {kind: list(units) for kind, units in manifest["units"].items()} == {
        "scheduler": ["dask-scheduler.service"],
        "worker": ["dask-worker@.service", "dask-workers.target"],
    }
    assert manifest["units"]["worker"]["dask-worker@.service"] == unit_digest("# A comment.\n[Service]\n")


def test_id_is_compatible_with_earlier_versions():
    # A new id for the same files would make the next version of the collection restart every cluster.
    manifest = make_manifest("environment", "", "", FILES, SERVICES, PORTS, True)
    assert manifest["id"] == digest({key: manifest[key] for key in ("environment", "services", "files")})
