# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection uses of the package packaging, which ansible-core requires.

``ansible-test sanity --test import`` imports all plugins without it. Then the names are classes that nothing uses.
"""

from __future__ import annotations

try:
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.tags import Tag, compatible_tags, cpython_tags
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        canonicalize_name,
        parse_sdist_filename,
        parse_wheel_filename,
    )
    from packaging.version import InvalidVersion, Version
except ImportError:

    def __getattr__(name: str) -> type[Exception]:
        return type(name, (Exception,), {})


__all__ = [
    "InvalidMarker",
    "InvalidRequirement",
    "InvalidSdistFilename",
    "InvalidSpecifier",
    "InvalidVersion",
    "InvalidWheelFilename",
    "Marker",
    "Requirement",
    "SpecifierSet",
    "Tag",
    "UndefinedComparison",
    "UndefinedEnvironmentName",
    "Version",
    "canonicalize_name",
    "compatible_tags",
    "cpython_tags",
    "parse_sdist_filename",
    "parse_wheel_filename",
]
