#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Build an immutable Python environment
version_added: "0.1.0"
description:
  - Builds an environment in a directory that is named by its content. C(uv) has installed the packages on the controller
    already, or fetches and installs them on the host; or the files come from a packed environment.
  - The directory appears only when the environment is complete, and is never changed afterwards. An interrupted build
    leaves no directory of that name; the next build starts again.
  - Nothing is executed on a host that has the environment already, according to the plan.
  - Code of the packages runs only as the services' user, to find out whether Dask can be imported.
  - If the plan has a managed Python for the host, the module first installs it in the same way, from the archive that the
    controller copies to the host, into C(pythons/NAME).
  - Two files in it describe the content. C(environment.json) is the result of this module. C(sbom.cdx.json) is a bill of
    materials in the format CycloneDX 1.6 with the interpreter and every package. It has the SHA-256 of a package's wheel if
    the lock allows only one wheel, and the licence if the package declares an SPDX expression. Packages of conda are listed
    with their build and channel.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports whether the environment would be built.
  diff_mode:
    support: full
    description: Shows the packages that are added, removed or changed.
options:
  home:
    description: Directory of the collection on the host. The environment is built in C(environments/ID) below it.
    type: path
    required: true
  plan:
    description:
      - Result of M(daskops.cluster.plan). It contains the id of the environment, its interpreter, its lock, and the path of
        the archive with the packages, which is copied to the host.
      - An existing environment keeps the lock that it was built from, even if a new lock has the same packages.
    type: dict
    required: true
  index_url:
    description:
      - Package index from which the host fetches if the archive contains no packages.
      - Empty for the index in the host's own configuration.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Build the environment
  daskops.cluster.environment:
    home: /opt/dask
    plan: "{{ plan }}"
"""

RETURN = r"""
environment:
  description: The content of the environment. Empty in check mode if the environment would be built.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
    lock:
      description: SHA-256 of the lock that it was built from. Missing if an early version of this collection built it.
      type: str
    archive:
      description: SHA-256 of the archive that it was unpacked from, instead of a lock.
      type: str
    path:
      description: Directory of an environment that existed before, instead of a lock.
      type: str
    fingerprint:
      description: Name of the packages that were in C(path), and of its Python.
      type: str
    built:
      description:
        - Time when it was built, in seconds since the epoch by the host's clock. Missing if an early version of this
          collection built it.
      type: int
    python:
      description: Full version of its interpreter.
      type: str
    managed_python:
      description: Name of the managed Python that it uses. Missing if it uses an interpreter of the host, or its own.
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
