# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bills of materials, validated against the CycloneDX schema, and the report of versions on hosts."""

import json

import pytest
from ansible_collections.daskops.cluster.plugins.filter.versions import versions
from ansible_collections.daskops.cluster.plugins.module_utils.sbom import bill_of_materials, known_hashes
from ansible_collections.daskops.cluster.plugins.modules import inspect_host
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

A, B, C = (digit * 64 for digit in "abc")
DESCRIPTION = {
    "id": "0f3c5e9a7b1d",
    "lock": C,
    "python": "3.11.2",
    "packages": {"dask": "2026.8.0", "prometheus_client": "0.26.0", "torch": "2.9.0+cu128"},
}
LICENCES = {"dask": "BSD-3-Clause", "prometheus_client": "Apache-2.0 AND BSD-2-Clause"}
REQUIREMENTS = f"""--index-url https://packages.example/simple
dask==2026.8.0 --hash=sha256:{A}
prometheus-client==0.26.0 --hash=sha256:{B}
torch==2.9.0+cu128 --hash=sha256:{A} --hash=sha512:{B}{B}
"""


def bill(**changes):
    return bill_of_materials({**DESCRIPTION, **changes}, LICENCES, known_hashes(REQUIREMENTS), [("uv", "0.13.8", C)])


def errors(document):
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))


def test_bill_is_valid_by_the_schema():
    assert errors(bill()) is None


def test_packages_of_conda_are_listed_once():
    numpy = {"name": "numpy", "version": "2.1.0", "build": "py311h1", "subdir": "linux-64", "channel": "conda-forge"}
    bare = dict.fromkeys(("build", "subdir", "channel", "sha256", "license"), "")
    of_conda = [{**numpy, "sha256": A, "license": "BSD-3-Clause AND X"}, {**bare, "name": "libgdal", "version": "3.8"}]
    about = {"id": "0f3c5e9a7b1d", "archive": C, "python": "3.11.2", "packages": {"numpy": "2.1.0", "mine": "1"}}
    document = bill_of_materials(about, {}, {}, [], of_conda, ["numpy"])
    assert errors(document) is None
    urls = [component["purl"] for component in document["components"]]
    assert urls == [
        "pkg:generic/python@3.11.2",
        "pkg:pypi/mine@1",
        "pkg:conda/numpy@2.1.0?build=py311h1&channel=conda-forge&subdir=linux-64",
        "pkg:conda/libgdal@3.8",
    ]
    assert PackageURL.from_string(urls[2]).qualifiers["build"] == "py311h1"
    properties = document["metadata"]["component"]["properties"]
    assert properties == [{"name": "daskops:archive:sha256", "value": C}]


def test_schema_rejects_an_invalid_hash():
    document = bill()
    document["components"][1]["hashes"] = [{"alg": "SHA-256", "content": "none"}]
    assert errors(document) is not None


def test_bill_lists_all_packages_and_the_interpreter():
    found = {component["name"]: component for component in bill()["components"]}
    assert {name: about["version"] for name, about in found.items()} == {"python": "3.11.2", **DESCRIPTION["packages"]}
    urls = {name: PackageURL.from_string(about["purl"]) for name, about in found.items()}
    assert urls["prometheus_client"] == PackageURL("pypi", name="prometheus-client", version="0.26.0")
    assert urls["torch"].version == "2.9.0+cu128"
    assert {
        name: about["licenses"][0]["expression"] for name, about in found.items() if "licenses" in about
    } == LICENCES


def test_bill_has_the_hash_of_a_managed_python():
    document = bill_of_materials(DESCRIPTION, {}, {}, [], python_sha256=A)
    assert errors(document) is None
    found = {component["name"]: component.get("hashes") for component in document["components"]}
    assert found["python"] == [{"alg": "SHA-256", "content": A}]
    assert bill()["components"][0]["name"] == "python" and "hashes" not in bill()["components"][0]


def test_bill_names_the_tools_and_the_lock():
    metadata = bill()["metadata"]
    assert metadata["component"]["version"] == DESCRIPTION["id"]
    assert metadata["component"]["properties"] == [{"name": "daskops:lock:sha256", "value": C}]
    uv = next(tool for tool in metadata["tools"]["components"] if tool["name"] == "uv")
    assert (uv["version"], uv["hashes"][0]["content"]) == ("0.13.8", C)


def test_hash_is_listed_only_if_the_lock_allows_a_single_file():
    hashes = {c["name"]: c["hashes"][0]["content"] for c in bill()["components"] if "hashes" in c}
    assert hashes == {"dask": A, "prometheus_client": B}


@pytest.mark.parametrize(
    "change", [{"id": "6b440ab4e608"}, {"lock": A}, {"python": "3.11.9"}, {"packages": {"dask": "1"}}]
)
def test_serial_number_depends_on_the_content(change):
    assert bill() == bill()
    assert bill(**change)["serialNumber"] != bill()["serialNumber"]


# Versions on hosts


def looked_at(*environments):
    return {"versions": list(environments)}


def environment(release, **changes):
    return {
        **DESCRIPTION,
        "packages": {"dask": "2026.8.0"},
        "releases": [release],
        "labels": {},
        "applications": {},
        **changes,
    }


def test_hosts_with_equal_versions_are_listed_together():
    worker = looked_at(environment("bb"))
    hosts = {"scheduler": looked_at(environment("aa")), "worker1": worker, "worker2": worker}
    assert versions(hosts) == [
        f"Environment 0f3c5e9a7b1d: Python 3.11.2, lock {C}.",
        "Release aa on scheduler.",
        "Release bb on worker1, worker2.",
    ]
    assert versions(hosts, packages=True) == [*versions(hosts), "dask 2026.8.0"]


@pytest.mark.parametrize("change", [{"id": "1"}, {"lock": A}, {"python": "3.11.9"}, {"packages": {"dask": "2026.8.1"}}])
def test_hosts_with_different_versions_are_listed_separately(change):
    lines = versions({"worker1": looked_at(environment("bb")), "worker2": looked_at(environment("bb", **change))})
    assert sum(line.startswith("Environment ") for line in lines) == 2
    assert {"Release bb on worker1.", "Release bb on worker2."} <= set(lines)


def test_long_host_lists_are_shortened_without_packages():
    hosts = {f"worker{number}": looked_at(environment("bb")) for number in range(30)}
    assert versions(hosts)[1].endswith("worker19 and 10 more.")
    assert versions(hosts, packages=True)[1].endswith("worker28, worker29.")


def test_unknown_lock_is_reported_and_unreachable_host_is_left_out():
    assert versions({"lost": {"unreachable": True}}) == []
    assert versions({"old": looked_at(environment("bb", lock=""))})[0].endswith("lock unknown.")


def test_running_services_report_their_release_and_stopped_ones_the_current_release(tmp_path):
    for name, about in {"new": DESCRIPTION, "old": {"id": "old", "python": "3.11.2", "packages": {}}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "environment.json").write_text(json.dumps({**about, "id": name}))
    scheduler, worker = "dask-scheduler.service", "dask-worker@1.service"

    def release(environment, label="", application=""):
        services = {"scheduler": {scheduler: f"s-{environment}.1"}, "worker": {worker: f"w-{environment}.1"}}
        return {"environment": environment, "application": application, "label": label, "services": services}

    releases = {name: release(name) for name in ("new", "old")}
    # A pending scheduler that runs with another unit, and a stopped worker.
    runs = {scheduler: f"s-old.1{inspect_host.OTHER_UNIT}", worker: None}
    assert inspect_host.versions(str(tmp_path), runs, releases["new"], releases) == [
        {**DESCRIPTION, "id": "new", "releases": ["w-new"], "labels": {}, "applications": {}},
        {
            "id": "old",
            "lock": "",
            "python": "3.11.2",
            "packages": {},
            "releases": ["s-old"],
            "labels": {},
            "applications": {},
        },
    ]
    # A new label restarts the workers, but not the scheduler, which then belongs to the current release.
    releases = {"old": release("new", "v1.3"), "new": release("new", "v1.4", "a2")}
    releases["old"]["services"]["worker"][worker] = "w-older.1"
    runs = {scheduler: "s-new.1", worker: "w-older.1"}
    (found,) = inspect_host.versions(str(tmp_path), runs, releases["new"], releases)
    assert found["labels"] == {"s-new": "v1.4", "w-older": "v1.3"}
    assert found["applications"] == {"s-new": "a2"}
    assert inspect_host.versions(str(tmp_path), {}, {}, {}) == []
