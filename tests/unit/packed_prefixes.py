# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build whole environments with tiny packages, and pack them with the real conda-pack and venv-pack.

Run as a program, it packs an environment like conda's with real packages: ``packed_prefixes.py SITE_PACKAGES ARCHIVE``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

VERSION = ".".join(map(str, sys.version_info[:3]))
LIBRARY = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
#: Prefix that a package of conda was built with, which is replaced when the package is installed.
PLACEHOLDER = "/opt/placehold_placehold_placehold_placehold_placehold_placehold_placehold_placehold"

#: Python of Debian ignores site-packages outside of virtual environments.
SITE = "import os, site, sys\nsite.addsitedir(os.path.join(sys.prefix, {!r}, 'site-packages'))\n"


def install(site_packages: Path, wheels) -> None:
    """Unpack wheels."""
    site_packages.mkdir(exist_ok=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as zipped:
            zipped.extractall(site_packages)


def make_venv(prefix: Path, wheels) -> Path:
    """Make a virtual environment with wheels."""
    venv.EnvBuilder(symlinks=True).create(prefix)
    install(prefix / LIBRARY / "site-packages", wheels)
    return prefix


def copy_python(prefix: Path) -> None:
    """Copy this Python and its standard library into a prefix, as an environment of conda has them."""
    (prefix / "bin").mkdir(parents=True)
    shutil.copy(os.path.realpath(sys.executable), prefix / LIBRARY.replace("lib", "bin", 1))
    (prefix / "bin/python").symlink_to(os.path.basename(LIBRARY))
    ignored = shutil.ignore_patterns(
        "site-packages", "dist-packages", "test", "config-*", "sitecustomize.py", "idlelib"
    )
    shutil.copytree(sysconfig.get_path("stdlib"), prefix / LIBRARY, ignore=ignored)
    (prefix / LIBRARY / "sitecustomize.py").write_text(SITE.format(LIBRARY))


def make_conda(prefix: Path, wheels, caches: Path) -> Path:
    """Make an environment as conda does, with wheels, and a package of which the cache of packages has a copy."""
    copy_python(prefix)
    install(prefix / LIBRARY / "site-packages", wheels)
    # A text that names the prefix in which conda installed it.
    (prefix / LIBRARY / "site-packages/where.py").write_text(f"PREFIX = '{prefix}'\n")
    (prefix / "bin/say").write_text(f"#!{prefix}/bin/python\nprint('said')\n")
    (prefix / "bin/say").chmod(0o755)
    source = caches / "liba-1.0-0"
    for directory in (source / "lib", source / "info", prefix / "etc", prefix / "conda-meta"):
        directory.mkdir(parents=True)
    binary = b"\0\1%s/share/a\0and %s:%s/b\0\xff" % ((PLACEHOLDER.encode(),) * 3)
    files = {"lib/liba.so": binary, "etc/a.conf": f"home = {PLACEHOLDER}/share\n".encode()}
    paths = []
    for name, content in files.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(content)
        shutil.copy(source / name, prefix / name)
        mode = "binary" if name.endswith(".so") else "text"
        paths.append({"_path": name, "path_type": "hardlink", "prefix_placeholder": PLACEHOLDER, "file_mode": mode})
    (source / "info/paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    (prefix / "conda-meta/history").touch()
    packages = {
        "python": (VERSION, "", []),
        "liba": ("1.0", str(source), list(files)),
    }
    for name, (version, link, owned) in packages.items():
        about = {
            "name": name, "version": version, "build": "0", "subdir": "linux-64", "channel": "conda-forge",
            "sha256": "ab" * 32, "license": "BSD-3-Clause", "url": f"https://example.org/{name}.conda",
            "link": {"source": link, "type": 1}, "files": owned,
        }  # fmt: skip
        (prefix / "conda-meta" / f"{name}-{version}-0.json").write_text(json.dumps(about))
    return prefix


def compile_modules(prefix: Path) -> None:
    """Compile all modules, as installers do."""
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", str(prefix / "lib")]
    subprocess.run(command, check=False, capture_output=True)


def pack_conda(prefix: Path, archive: Path, *options: str) -> Path:
    """Pack an environment with conda-pack."""
    command = [sys.executable, "-m", "conda_pack.cli", "--quiet", "--prefix", str(prefix), "--output", str(archive)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return archive


def pack_venv(prefix: Path, archive: Path) -> Path:
    """Pack an environment with venv-pack."""
    command = [sys.executable, "-m", "venv_pack", "--quiet", "--prefix", str(prefix), "--output", str(archive)]
    subprocess.run(command, check=True, capture_output=True)
    return archive


def main() -> None:
    site_packages, archive = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        prefix = make_conda(Path(directory, "prefix"), [], Path(directory, "caches"))
        shutil.copytree(site_packages, prefix / LIBRARY / "site-packages", dirs_exist_ok=True)
        compile_modules(prefix)
        pack_conda(prefix, Path(archive))


if __name__ == "__main__":
    main()
