# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx. `make docs` builds the site."""

from pathlib import Path

import yaml

galaxy = yaml.safe_load((Path(__file__).parents[1] / "galaxy.yml").read_text(encoding="utf-8"))

project = "daskops.cluster"
author = copyright = "the daskops.cluster authors"
version = release = galaxy["version"]

extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinxcontrib.svgbob"]
# reference/plugins.md is the index, and reference/variables.md describes the variables of the roles.
UNUSED = ("index.rst", "environment_variables.rst", "*_role.rst")
exclude_patterns = ["_build", *(f"reference/plugins/{name}" for name in UNUSED)]
nitpicky = True
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

linkcheck_timeout = 20
linkcheck_ignore = [
    # Hosts of examples do not exist, and a demo may not run.
    r"https?://([^/]*\.)?example\.(com|net|org)\b",
    r"https?://([\d.]+|[\w-]+)[:/]",
    # The page of the collection itself, which does not exist before the first release.
    r"https://galaxy\.ansible\.com/ui/repo/published/daskops/",
]

html_theme = "furo"
html_title = f"daskops.cluster {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["diagrams.css"]
