#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: install_application
short_description: Unpack an application on a host
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.application).
  - Unpacks the archive of an application, checks its content, compiles it, and renames its directory to O(id).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Reports whether the application would be installed.
  diff_mode:
    support: none
    description: The action plugin shows the difference.
options:
  id:
    description: Id of the application.
    type: str
    required: true
  environment:
    description: Id of the environment whose interpreter compiles the application.
    type: str
    required: true
  archive:
    description: Path of the archive on the host. Required if the host lacks the application.
    type: path
"""

EXAMPLES = r"""
- name: Unpack the application
  daskops.cluster.install_application:
    home: /opt/dask
    id: 7b1d0f3c5e9a
    environment: 0f3c5e9a7b1d
    archive: /tmp/application.tar.gz
"""

RETURN = r"""
application:
  description: See RV(daskops.cluster.application#module:application).
  type: dict
  returned: success
"""

import glob
import os
import shutil
import tarfile
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.applications import (
    DESCRIPTION,
    MODULES,
    content_id,
    installed_files,
    read_application,
)
from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, take_lock
from ansible_collections.daskops.cluster.plugins.module_utils.releases import replace_directory
from ansible_collections.daskops.cluster.plugins.module_utils.selinux import relabel
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import reported


class Damaged(Exception):
    """The archive is not the one that the controller made."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "environment": {"type": "str", "required": True},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    with reported(module, "installing the application; services keep running what they ran"):
        provide(module)


def provide(module: AnsibleModule) -> None:
    """Install the application if it is not there."""
    applications = os.path.join(module.params["home"], "applications")
    final = os.path.join(applications, module.params["id"])
    found = read_application(final)
    if found or module.check_mode:
        module.exit_json(changed=not found, application=found)
    os.umask(0o022)
    os.makedirs(applications, exist_ok=True)
    try:
        # Two runs at the same time install one after the other.
        take_lock("install", directory=os.path.join(applications, ".locks"))
    except HostLockError as error:
        module.fail_json(msg=str(error))
    if not read_application(final):
        for leftover in glob.glob(os.path.join(glob.escape(applications), ".partial-*")):  # of an interrupted run
            shutil.rmtree(leftover, ignore_errors=True)
        partial = os.path.join(applications, f".partial-{module.params['id']}")
        try:
            install(module, partial)
            appear(module, partial, final)
        except (Damaged, EOFError, tarfile.TarError, zlib.error) as error:
            shutil.rmtree(partial, ignore_errors=True)
            module.fail_json(
                msg=f"The application cannot be installed on this host, which keeps running what it ran: its archive is "
                f"damaged ({error}). Remove application-{module.params['id']}.tar.gz from dask_cache on the controller, "
                "and run again."
            )
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)  # the disk may be full
            raise
    module.exit_json(changed=True, application=read_application(final))


def install(module: AnsibleModule, partial: str) -> None:
    """Unpack and compile the application in the directory ``partial``."""
    with tarfile.open(module.params["archive"]) as tar:
        for member in tar:
            parts = member.name.split("/")
            if not member.isfile() or member.name.startswith("/") or any(part in ("", ".", "..") for part in parts):
                raise Damaged(f"it has {member.name!r}")
            path = os.path.join(partial, *parts)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            mode = 0o755 if member.mode & 0o100 else 0o644
            source = tar.extractfile(member)
            if source:
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    shutil.copyfileobj(source, file)
    modules = os.path.join(partial, MODULES)
    if content_id(installed_files(modules)) != module.params["id"]:
        raise Damaged("it has other files than it should")
    if not read_application(partial):
        raise Damaged(f"it lacks {DESCRIPTION}")
    # Services cannot write bytecode. The files never change, so Python need not compare them with it. Ignore errors: files
    # that do not compile, such as templates, are not imported.
    python = os.path.join(module.params["home"], "environments", module.params["environment"], "bin", "python")
    if os.path.exists(python):
        # -S: root must not run the files "*.pth" of packages.
        command = [python, "-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", modules]
        module.run_command(command, cwd="/")


def appear(module: AnsibleModule, partial: str, final: str) -> None:
    """Rename a complete application to its own name once it is on the disk."""
    relabel(module, partial)
    os.sync()
    replace_directory(final, partial)


if __name__ == "__main__":
    main()
