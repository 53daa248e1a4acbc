#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: build_environment
short_description: Build an environment on a host
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.environment).
  - Builds the environment from an archive, or links an environment that exists. Renames its directory to O(id) when
    Dask can be imported.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Reports whether the environment would be built.
  diff_mode:
    support: none
    description: The action plugin shows the difference.
options:
  id:
    description: Id of the environment.
    type: str
    required: true
  python:
    description: Interpreter of the host that builds the environment. Not used with O(managed_python).
    type: path
    default: ""
  archive:
    description: Path of the archive with the packages on the host. Required if the host lacks the environment.
    type: path
  managed_python:
    description: The managed Python of the environment, with its C(name) and C(sha256). Empty if it has none.
    type: dict
    default: {}
  python_archive:
    description: Path of the managed Python's archive on the host. Required if the host lacks that Python.
    type: path
  origin:
    description: What the environment is made from, a C(lock), an C(archive), or the C(path) of an environment that exists.
    type: dict
    required: true
  about:
    description: The packages of an environment that exists, as M(daskops.cluster.host_info) returned them.
    type: dict
    default: {}
  user:
    description: Account that the services run as. Code of the packages runs only as this user.
    type: str
    default: ""
  groups:
    description: Groups, by name or number, that the services have in addition to those of O(user).
    type: list
    elements: str
    default: []
  setup:
    description: The C(script) and the C(lines) of C(dask_environment_setup), which run before the interpreter.
    type: dict
    default: {}
  index_url:
    description: Package index from which the host fetches. Empty for the index in the host's own configuration.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Build the environment
  daskops.cluster.build_environment:
    home: /opt/dask
    id: 0f3c5e9a7b1d
    python: /usr/bin/python3
    archive: /tmp/environment.tar
    origin:
      lock: 1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014
    user: dask
"""

RETURN = r"""
environment:
  description: See RV(daskops.cluster.environment#module:environment).
  type: dict
  returned: success
"""

import functools
import glob
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.existing_environments import (
    ended,
    execute,
    import_problem,
)
from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, take_lock
from ansible_collections.daskops.cluster.plugins.module_utils.pythons import (
    PythonError,
    describe,
    install,
    is_complete,
)
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    PREFIX,
    TESTS,
    VALIDATOR,
    read,
    read_usable_environment,
    replace_directory,
)
from ansible_collections.daskops.cluster.plugins.module_utils.sbom import bill_of_materials, known_hashes
from ansible_collections.daskops.cluster.plugins.module_utils.selinux import relabel
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import reported

DESCRIBE = """
import importlib.metadata, json, platform, dask, distributed
found = {d.metadata["Name"].lower(): d for d in importlib.metadata.distributions() if d.metadata["Name"] and d.version}
licences = {name: d.metadata.get("License-Expression") for name, d in found.items()}
print(json.dumps({
    "python": platform.python_version(),
    "packages": {name: d.version for name, d in found.items()},
    "licences": {name: licence for name, licence in licences.items() if licence},
    "by_conda": [name for name, d in found.items() if (d.read_text("INSTALLER") or "").strip() == "conda"],
}))
"""


#: Seconds that the first import of Dask may take, with files that were just written.
IMPORT_TIMEOUT = 300


def is_description(value: Any) -> bool:
    """Return whether a value has the form of what `DESCRIBE` prints."""

    def texts(values: Any) -> bool:
        return all(isinstance(one, str) for one in values)

    return (
        isinstance(value, dict)
        and isinstance(value.get("python"), str)
        and all(isinstance(value.get(name), dict) for name in ("packages", "licences"))
        and texts([*value["packages"].values(), *value["licences"].values()])
        and isinstance(value.get("by_conda"), list)
        and texts(value["by_conda"])
    )


class Builder:
    """Builds an environment in the directory ``partial``, which gets its final name when it is complete."""

    def __init__(self, module: AnsibleModule, partial: str) -> None:
        self.module = module
        self.partial = partial
        self.python = os.path.join(partial, "bin", "python")
        self.flush = threading.Thread(target=os.sync)

    def appear(self, final: str, texts: Mapping[str, str]) -> None:
        """Add the last files, and rename the environment to ``final`` when all of its files are on the disk."""
        for name, text in texts.items():
            with open(os.path.join(self.partial, name), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        directory = os.open(self.partial, os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)
        self.flush.join()
        relabel(self.module, self.partial)
        replace_directory(final, self.partial)

    def run(self, what: str, *command: str, **environment: str) -> str:
        """Run a command and return its output. If it fails, fail the module with the end of its output."""
        # Do not run in the login user's home: uv reads settings from the working directory and its parents.
        here = os.path.dirname(self.partial)
        status, output, errors = self.module.run_command(list(command), environ_update=environment, cwd=here)
        if status != 0:
            last = " ".join(" ".join((errors or output).strip().splitlines()[-12:]).split())
            self.fail(what, last)
        return str(output)

    def fail(self, what: str, why: str) -> None:
        """Fail the module because an operation failed."""
        self.module.fail_json(msg=f"{what} failed on this host, whose services were not changed: {why}")

    def build(self, archive: str, unpacked: str) -> dict[str, Any]:
        """Install and compile the packages; return what `DESCRIBE` prints."""
        streams = self._extract(archive, unpacked)
        if streams:
            self._unpack(archive, streams[0], unpacked)
        else:
            self._fetch(unpacked)
        self._copy_validator(unpacked)
        if not streams or not streams[0].startswith("compiled."):
            library = os.path.join(self.partial, "lib")
            # -S: root must not run the files "*.pth" of packages.
            # fmt: off
            self.run(
                "Compiling the packages", self.python, "-I", "-S", "-m", "compileall", "-q", "-j", "0", "-x", TESTS, library
            )
            # fmt: on
        # Flush the files while Dask is imported: after a power cut the directory must not exist without its files.
        self.flush.start()
        return self._describe()

    def _describe(self) -> dict[str, Any]:
        """Return what `DESCRIBE` prints as the services' user, because it runs code of the packages."""
        parameters = self.module.params
        status, output, errors, problem = execute(
            self.python, DESCRIBE, parameters["user"], parameters["groups"], {}, IMPORT_TIMEOUT
        )
        if problem or status:
            self.fail("Importing Dask", problem or ended(status, errors))
        try:
            # Packages may print a text when they are imported.
            described = json.loads(output.strip().rpartition("\n")[2])
            if is_description(described):
                return dict(described)
        except (RecursionError, ValueError):
            pass
        self.fail("Importing Dask", "it printed something else than a list of packages")
        return {}  # not reached

    def link(self, archive: str, unpacked: str, path: str) -> dict[str, Any]:
        """Link to an environment that exists, after its Dask was imported as the services' user; return `about`."""
        parameters = self.module.params
        problem = import_problem(path, parameters["user"], parameters["groups"], parameters["setup"])
        if problem:
            self.fail(f"Importing Dask from {path}", problem)
        self._extract(archive, unpacked)
        os.mkdir(self.partial)
        os.symlink(path, os.path.join(self.partial, PREFIX))
        self._copy_validator(unpacked)
        self.flush.start()
        about = parameters["about"]
        return {"python": about["python"], "packages": about["packages"], "licences": {}, "by_conda": about["by_conda"]}

    def _extract(self, archive: str, unpacked: str) -> list[str]:
        """Extract the archive but for streams of the environment's files, and return the names of these."""
        with tarfile.open(archive) as tar:
            # The collection made this archive. `tree.py` reads the environment's files directly from it.
            streams = [name for name in tar.getnames() if name.endswith((".zst", ".gz"))]
            tar.extractall(unpacked, [member for member in tar if member.name not in streams])
        return streams

    def _copy_validator(self, unpacked: str) -> None:
        """Copy the wheel that the validation of a release's configuration imports. It is not one of the user's packages."""
        (wheel,) = glob.glob(os.path.join(unpacked, "tools", "fastjsonschema-*.whl"))
        shutil.copy(wheel, os.path.join(self.partial, VALIDATOR))

    def _unpack(self, archive: str, stream: str, unpacked: str) -> None:
        """Create the environment from files that the controller has installed."""
        library = os.path.join(unpacked, "library")
        for wheel in glob.glob(os.path.join(unpacked, "tools", "backports_zstd-*.whl")):
            with zipfile.ZipFile(wheel) as zipped:
                zipped.extractall(library)
        script = os.path.join(unpacked, "tree.py")
        python = self.module.params["python"] or sys.executable
        self.run(
            "Unpacking the packages", python, "-I", script, library, "unpack", archive, stream, self.partial
        )  # fmt: skip

    def _fetch(self, unpacked: str) -> None:
        """Create the environment from packages of an index."""
        uv = self._take_out_uv(unpacked)
        parameters = self.module.params
        settings = {"UV_CACHE_DIR": os.path.join(unpacked, "cache"), "UV_LINK_MODE": "hardlink"}
        if parameters["index_url"]:  # it may contain a password, which must not appear in the list of processes
            settings["UV_DEFAULT_INDEX"] = parameters["index_url"]
        # Relocatable, because it is renamed when it is complete.
        self.run(
            "Making the virtual environment", uv, "venv", "--quiet", "--relocatable", "--no-python-downloads",
            "--python", parameters["python"], self.partial, **settings,
        )  # fmt: skip
        self.run(
            "Installing the packages", uv, "pip", "install", "--quiet", "--python", self.python, "--require-hashes",
            "--only-binary", ":all:", "--requirement", os.path.join(unpacked, "requirements.txt"), **settings,
        )  # fmt: skip
        os.remove(os.path.join(self.partial, ".lock"))  # uv leaves it writable for every user

    @staticmethod
    def _take_out_uv(unpacked: str) -> str:
        """Extract uv's executable from its wheel, and return its path."""
        with zipfile.ZipFile(glob.glob(os.path.join(unpacked, "tools", "uv-*.whl"))[0]) as zipped:
            member = next(name for name in zipped.namelist() if name.endswith(".data/scripts/uv"))
            path = zipped.extract(member, unpacked)
        os.chmod(path, 0o755)
        return path


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "python": {"type": "path", "default": ""},
            "archive": {"type": "path"},
            "managed_python": {"type": "dict", "default": {}},
            "python_archive": {"type": "path"},
            "origin": {"type": "dict", "required": True},
            "about": {"type": "dict", "default": {}},
            "user": {"type": "str", "default": ""},
            "groups": {"type": "list", "elements": "str", "default": []},
            "setup": {"type": "dict", "default": {}},
            "index_url": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    with reported(module, "building the environment; the services were not changed"):
        provide(module)


def provide(module: AnsibleModule) -> None:
    """Build the environment if it does not exist yet."""
    environments = os.path.join(module.params["home"], "environments")
    final = os.path.join(environments, module.params["id"])
    description = read_usable_environment(final)
    if description or module.check_mode:
        module.exit_json(changed=not description, environment=description)

    os.umask(0o022)
    os.makedirs(environments, exist_ok=True)
    try:
        # Two runs at the same time build one after the other.
        take_lock("build", directory=os.path.join(environments, ".locks"))
    except HostLockError as error:
        module.fail_json(msg=str(error))
    description = read_usable_environment(final)
    if not description:
        try:
            description = build(module, environments, final)
        except (OSError, SystemExit):  # fail_json raises SystemExit; remove the files, since the disk may be full
            shutil.rmtree(os.path.join(environments, f".partial-{module.params['id']}"), ignore_errors=True)
            raise
    module.exit_json(changed=True, environment=description)


def build(module: AnsibleModule, environments: str, final: str) -> dict[str, Any]:
    """Build the environment, and rename it to ``final`` when it is complete."""
    archive, managed = module.params["archive"], module.params["managed_python"]
    if not archive:
        module.fail_json(msg="The environment does not exist on this host yet. Set archive to build it.")
    partial = os.path.join(environments, f".partial-{module.params['id']}")
    # Remove the files of interrupted builds.
    for leftover in [
        path for kind in ("partial", "unpacked", "check") for path in glob.glob(f"{environments}/.{kind}-*")
    ]:
        shutil.rmtree(leftover, ignore_errors=True)
    builder = Builder(module, partial)
    if managed:
        managed = install_managed(builder, managed)
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=environments) as unpacked:
        path = module.params["origin"].get("path", "")
        try:
            found = builder.link(archive, unpacked, path) if path else builder.build(archive, unpacked)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
            builder.fail(
                "Unpacking the packages",
                f"the archive is damaged ({error}). Remove it from dask_cache on the controller, and run again.",
            )
        licences, by_conda = found.pop("licences"), found.pop("by_conda")
        description = {"id": module.params["id"], "built": int(time.time()), **module.params["origin"], **found}
        if managed:
            description["managed_python"] = managed["name"]
        hashes = known_hashes(read(os.path.join(unpacked, "requirements.txt")))
        tools = re.findall(
            r"^(\S+)==(\S+) --hash=sha256:(\w+)$", read(os.path.join(unpacked, "tools.txt")), re.MULTILINE
        )
        conda = os.path.join(unpacked, "conda.json")
        of_conda = module.params["about"].get("conda") or (json.loads(read(conda)) if os.path.exists(conda) else [])
    bill = bill_of_materials(description, licences, hashes, tools, of_conda, by_conda, managed.get("sha256"))
    texts = {"sbom.cdx.json": bill, "environment.json": description}
    builder.appear(final, {name: json.dumps(text, indent=1, sort_keys=True) for name, text in texts.items()})
    return description


def install_managed(builder: Builder, managed: Mapping[str, str]) -> dict[str, str]:
    """Install the managed Python of the environment if the host does not have it, and return its description."""
    home, archive = builder.module.params["home"], builder.module.params["python_archive"]
    if not is_complete(home, managed["name"]):
        if not archive:
            builder.module.fail_json(
                msg=f"The managed Python {managed['name']} does not exist on this host yet. Set python_archive."
            )
        try:
            install(home, managed, archive, builder.run, functools.partial(relabel, builder.module))
        except PythonError as error:
            builder.fail("Installing the managed Python", f"{error}.")
    return describe(home, managed["name"])


if __name__ == "__main__":
    main()
