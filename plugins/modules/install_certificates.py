#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: install_certificates
short_description: Write certificates on a host, and reload its services
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.certificates).
  - Writes the CA certificates and the certificates of services. Reloads the services that have loaded other
    certificates, and waits until they report the new ones.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Reports which files would be written and which services would be reloaded.
  diff_mode:
    support: full
    description: Shows the name and the SHA-256 of each file, not its content.
options:
  user:
    description: Account that the services run as.
    type: str
    required: true
  authorities:
    description: The CA certificates that services trust, in PEM format.
    type: str
    required: true
  certificates:
    description: The certificate with its key, in PEM format, by kind of service.
    type: dict
    required: true
  kept:
    description: Kinds of service whose certificate on the host is not written.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Write the certificates
  daskops.cluster.install_certificates:
    home: /opt/dask
    user: dask
    authorities: "{{ lookup('ansible.builtin.file', 'ca.pem') }}"
    certificates:
      worker: "{{ lookup('ansible.builtin.file', 'worker.pem') }}"
"""

RETURN = r"""
written:
  description: See RV(daskops.cluster.certificates#module:written).
  type: list
  elements: str
  returned: success
reloaded:
  description: See RV(daskops.cluster.certificates#module:reloaded).
  type: list
  elements: str
  returned: success
current:
  description: See RV(daskops.cluster.certificates#module:current).
  type: dict
  returned: success
"""

import contextlib
import os
import pwd
import time
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    digest,
    installed_files,
    installed_text,
    loaded_certificates,
    stale_services,
    wanted_files,
)
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import reported
from ansible_collections.daskops.cluster.plugins.module_utils.units import shown_services

#: Seconds that a service may take to load its new certificates.
PATIENCE = 20


def write(path: str, content: str, mode: int, uid: int) -> None:
    """Replace a file. Until it has its owner and mode, only root can read it."""
    try:
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chown(path + ".new", uid, -1)
        os.chmod(path + ".new", mode)
        os.replace(path + ".new", path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path + ".new")  # it may contain a key
        raise


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "authorities": {"type": "str", "required": True},
            "certificates": {"type": "dict", "required": True, "no_log": True},
            "kept": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with reported(module, "installing the certificates; the services keep those that they have loaded"):
        install(module)


def install(module: AnsibleModule) -> None:
    """Install the certificates, and have the services read them."""
    authorities, certificates = module.params["authorities"], module.params["certificates"]
    user, directory = module.params["user"], os.path.join(module.params["home"], "tls")
    before = installed_files(directory)
    after = wanted_files(authorities, certificates, user, module.params["kept"], before)
    written = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
    texts = {kind: installed_text(directory, f"{kind}.pem") for kind in module.params["kept"]}
    texts.update(certificates)
    current = {kind: digest(authorities, text) for kind, text in texts.items() if text is not None}
    stale = stale_services(loaded_certificates(shown_services(module)), current)

    def shown(files: Mapping[str, list[Any]]) -> str:
        return "".join(f"{name}: {files[name][0]}\n" for name in sorted(files))

    result = {
        "changed": bool(written or stale),
        "written": written,
        "reloaded": sorted(stale),
        "current": current,
        "diff": {"before_header": directory, "after_header": directory, "before": shown(before), "after": shown(after)},
    }
    if not module.check_mode:
        try:
            uids = {"root": 0, user: pwd.getpwnam(user).pw_uid}
        except KeyError:
            module.fail_json(msg=f"The user {user} does not exist on this host. Run site.yml without --tags.")
        contents = {"ca.pem": authorities, **{f"{kind}.pem": content for kind, content in certificates.items()}}
        os.umask(0o022)
        os.makedirs(directory, exist_ok=True)
        for name in written:
            if name in after:
                write(os.path.join(directory, name), contents[name], after[name][1], uids[after[name][2]])
            else:
                os.remove(os.path.join(directory, name))
        if stale:
            reload(module, stale)
    module.exit_json(**result)


def reload(module: AnsibleModule, stale: Mapping[str, str]) -> None:
    """Reload services, and wait until their status reports the new certificates."""
    module.run_command(["systemctl", "reload", *stale], check_rc=True)
    deadline = time.monotonic() + PATIENCE
    while True:
        loaded = loaded_certificates(shown_services(module))
        waiting = sorted(unit for unit in stale if unit in loaded and loaded[unit] != stale[unit])
        if not waiting:
            return
        if time.monotonic() > deadline:
            module.fail_json(
                msg=f"{', '.join(waiting)} did not load the new certificates within {PATIENCE} s. See journalctl "
                f"--unit={waiting[0]}, or run restart.yml, which restarts the services without loss."
            )
        time.sleep(0.5)


if __name__ == "__main__":
    main()
