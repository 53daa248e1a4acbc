#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Build an immutable Python environment from wheels
version_added: "0.1.0"
description:
  - Builds a virtual environment with C(uv) from an archive of wheels, in a directory that is named by all that went into it.
  - The directory appears only when the environment is complete, and is never changed afterwards. A build that is cut off
    leaves nothing that looks finished; the next one starts anew.
  - Two files in it say what it holds. C(environment.json) is what this module returns. C(sbom.cdx.json) is a bill of
    materials in the form of CycloneDX 1.6, with the interpreter and every package; with the SHA-256 of the wheel, where the
    requirements allowed just one; and with the licence, where the package declares an SPDX expression.
author:
  - The daskops.cluster authors
attributes:
  check_mode:
    support: full
    description: Tells whether the environment would be built.
  diff_mode:
    support: full
    description: Shows the packages that the environment adds.
options:
  home:
    description: Directory of the collection on the host; the environment becomes C(environments/ID) below it.
    type: path
    required: true
  id:
    description: Name of the environment, as M(daskops.cluster.plan_cluster) gave it.
    type: str
    required: true
  python:
    description: Interpreter to build with.
    type: path
    required: true
  archive:
    description:
      - The archive that M(daskops.cluster.plan_cluster) made, on the controller; it is copied to the host.
      - Needed where the environment does not exist yet.
    type: path
  sha256:
    description: SHA-256 of O(archive), in hexadecimal.
    type: str
  lock:
    description:
      - SHA-256 of the lock that the packages are from, in hexadecimal. It is written down with them.
      - An environment that exists keeps the one that it was built from, also where another lock now means the same packages.
    type: str
    required: true
  source:
    description: Whether the packages are in the archive (V(controller)) or come from an index (V(index)).
    type: str
    choices: [controller, index]
    default: controller
  index_url:
    description: Index that the host fetches from, with O(source=index); empty for the one that the host is set up with.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Build the environment
  daskops.cluster.environment:
    home: /opt/dask
    id: 0f3c5e9a7b1d
    python: /usr/bin/python3
    archive: /home/admin/.cache/daskops/environment-0f3c5e9a7b1d.tar
    sha256: 6c5f7f0d2b5d0a6f5a3f1f6a0b8c9d1e2f3a4b5c6d7e8f901a2b3c4d5e6f7081
    lock: 1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014
"""

RETURN = r"""
environment:
  description: What the environment holds; empty where it would be built but for check mode.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
    lock:
      description: SHA-256 of the lock that it was built from; missing where it was built before that was written down.
      type: str
    python:
      description: Full version of its interpreter.
      type: str
    packages:
      description: Version by package.
      type: dict
  sample:
    id: 0f3c5e9a7b1d
    lock: 1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014
    python: 3.11.2
    packages: {dask: 2026.8.0, distributed: 2026.8.0}
"""

import fcntl
import glob
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import zipfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    VALIDATOR,
    read,
    read_environment,
)
from ansible_collections.daskops.cluster.plugins.module_utils.sbom import bill_of_materials, known_hashes

DESCRIBE = """
import importlib.metadata, json, platform, dask, distributed
found = {d.metadata["Name"].lower(): d for d in importlib.metadata.distributions()}
licences = {name: d.metadata.get("License-Expression") for name, d in found.items()}
print(json.dumps({
    "python": platform.python_version(),
    "packages": {name: d.version for name, d in found.items()},
    "licences": {name: licence for name, licence in licences.items() if licence},
}))
"""
# Nobody imports the packages' own tests on a cluster, and they are almost half of all that could be compiled.
TESTS = "/site-packages/.*/tests?/"


class Builder:
    """Builds an environment in ``partial``, a directory that nobody takes for an environment."""

    def __init__(self, module, partial):
        self.module = module
        self.partial = partial
        self.python = os.path.join(partial, "bin", "python")

    def run(self, what, *command, **environment):
        """Run a command; fail the module with its last words if it fails."""
        status, output, errors = self.module.run_command(list(command), environ_update=environment)
        if status != 0:
            last = " ".join(" ".join((errors or output).strip().splitlines()[-12:]).split())
            self.module.fail_json(msg=f"{what} failed on this host, which keeps running what it ran: {last}")
        return output

    def build(self, archive, unpacked):
        """Unpack the wheels, install them, compile them, and describe the result."""
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked)  # our own archive, checked against its SHA-256
        uv = self._take_out_uv(unpacked)
        parameters = self.module.params
        settings = {"UV_CACHE_DIR": os.path.join(unpacked, "cache"), "UV_LINK_MODE": "hardlink"}
        if parameters["source"] == "controller":
            settings["UV_NO_CONFIG"] = "1"  # whatever the host is set up with, nothing is fetched
        # Relocatable, because it is built beside the place where it will stand.
        self.run(
            "Making the virtual environment", uv, "venv", "--quiet", "--relocatable", "--no-python-downloads",
            "--python", parameters["python"], self.partial, **settings,
        )  # fmt: skip
        if parameters["source"] == "controller":
            origin = ["--no-index", "--find-links", os.path.join(unpacked, "wheels")]
        else:
            origin = []
            if parameters["index_url"]:  # it may hold a password, which nobody must see in the list of processes
                settings["UV_DEFAULT_INDEX"] = parameters["index_url"]
        self.run(
            "Installing the packages", uv, "pip", "install", "--quiet", "--python", self.python, "--require-hashes",
            "--only-binary", ":all:", *origin, "--requirement", os.path.join(unpacked, "requirements.txt"), **settings,
        )  # fmt: skip
        os.remove(os.path.join(self.partial, ".lock"))  # uv leaves it for anybody to write
        library = glob.glob(os.path.join(self.partial, "lib", "python*", "site-packages"))[0]
        bytecode = os.path.join(unpacked, "bytecode.zip")
        if os.path.exists(bytecode):
            with zipfile.ZipFile(bytecode) as zipped:
                zipped.extractall(library)
        else:
            self.run("Compiling the packages", self.python, "-m", "compileall", "-q", "-j", "0", "-x", TESTS, library)
        return json.loads(self.run("Importing Dask", self.python, "-I", "-B", "-c", DESCRIBE))

    @staticmethod
    def _take_out_uv(unpacked):
        """Take uv's executable out of its wheel."""
        with zipfile.ZipFile(glob.glob(os.path.join(unpacked, "tools", "uv-*.whl"))[0]) as zipped:
            member = next(name for name in zipped.namelist() if name.endswith(".data/scripts/uv"))
            path = zipped.extract(member, unpacked)
        os.chmod(path, 0o755)
        return path


def read_description(directory):
    """The description of a complete environment whose interpreter still runs, else an empty one."""
    return read_environment(directory) if os.access(os.path.join(directory, "bin", "python"), os.X_OK) else {}


def sha256_of(path):
    """The SHA-256 of a file, in hexadecimal."""
    checksum = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            checksum.update(chunk)
    return checksum.hexdigest()


def checked(module, archive):
    """The path of the archive, once it is known to be whole."""
    if not archive:
        module.fail_json(msg="The environment does not exist here yet: archive is needed to build it.")
    if sha256_of(archive) != module.params["sha256"]:
        module.fail_json(msg="The archive of packages changed on its way to this host. Run again.")
    return archive


def main():
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "python": {"type": "path", "required": True},
            "archive": {"type": "path"},
            "sha256": {"type": "str"},
            "lock": {"type": "str", "required": True},
            "source": {"type": "str", "choices": ["controller", "index"], "default": "controller"},
            "index_url": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    environments = os.path.join(module.params["home"], "environments")
    final = os.path.join(environments, module.params["id"])
    description = read_description(final)
    if description or module.check_mode:
        module.exit_json(changed=not description, environment=description)

    os.umask(0o022)
    os.makedirs(environments, exist_ok=True)
    with open(os.path.join(environments, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at a time build one after the other
        description = read_description(final)
        if not description:
            description = build(module, environments, final)
    packages = "".join(f"{name}=={version}\n" for name, version in sorted(description["packages"].items()))
    module.exit_json(
        changed=True,
        environment=description,
        diff={"before_header": final, "after_header": final, "before": "", "after": packages},
    )


def build(module, environments, final):
    """Build the environment and, when it is complete, let it appear as ``final``."""
    archive = checked(module, module.params["archive"])
    partial = os.path.join(environments, f".partial-{module.params['id']}")
    # What builds that were cut off have left.
    for leftover in [path for kind in ("partial", "unpacked") for path in glob.glob(f"{environments}/.{kind}-*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=environments) as unpacked:
        found = Builder(module, partial).build(archive, unpacked)
        licences = found.pop("licences")
        description = {"id": module.params["id"], "lock": module.params["lock"], **found}
        hashes = known_hashes(read(os.path.join(unpacked, "requirements.txt")))
        wheels = sorted(glob.glob(os.path.join(unpacked, "tools", "*.whl")))
        tools = [(*os.path.basename(wheel).split("-")[:2], sha256_of(wheel)) for wheel in wheels]
        # What the release's check of configuration imports, straight from the wheel: the packages are the user's alone.
        shutil.copy(
            glob.glob(os.path.join(unpacked, "tools", "fastjsonschema-*.whl"))[0], os.path.join(partial, VALIDATOR)
        )
    bill = bill_of_materials(description, licences, hashes, tools)
    for name, content in {"sbom.cdx.json": bill, "environment.json": description}.items():
        with open(os.path.join(partial, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, sort_keys=True)
    os.sync()  # a power cut must not leave a name that is there and files that are not
    if os.path.exists(final):  # one whose interpreter is gone, from which a process may still import
        broken = os.path.join(environments, f".removed-{module.params['id']}")
        os.rename(final, broken)
        os.rename(partial, final)
        shutil.rmtree(broken, ignore_errors=True)
    else:
        os.rename(partial, final)
    return description


if __name__ == "__main__":
    main()
