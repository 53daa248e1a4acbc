# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build tiny wheels and describe the Python of a host."""

import hashlib
import importlib.metadata
import zipfile

PYTHON = {
    "executable": "/usr/bin/python3",
    "version": "3.11.2",
    "implementation": "cpython",
    "prefix": "/usr",
    "machine": "x86_64",
    "libc": ["glibc", "2.36"],
}


def python(version):
    """Return `PYTHON` with another version."""
    return {**PYTHON, "version": version}


def build_wheel(
    directory, name, version="1.0", requires=(), requires_python=None, tag="py3-none-any", source=None, more=None
):
    """Write a valid wheel and return its path."""
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Python: {requires_python}"] if requires_python else []
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    path = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n" if source is None else source)
        wheel.writestr(f"{info}/METADATA", "\n".join([*metadata, ""]))
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        for member, content in (more or {}).items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/RECORD", "")
    return path


def repack(directory, name):
    """Write a wheel of a package that is installed here, and return its path."""
    distribution = importlib.metadata.distribution(name)
    stem = f"{name.replace('.', '_')}-{distribution.version}"
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in distribution.files:
            if file.suffix != ".pyc":
                is_script = file.parts[0] == ".."
                wheel.write(file.locate(), f"{stem}.data/scripts/{file.name}" if is_script else str(file))
    return path


def lock_line(wheel, marker=""):
    """Return the line of a lock for a wheel."""
    name, version, *dummy = wheel.name.split("-")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version}{' ; ' + marker if marker else ''} \\\n    --hash=sha256:{sha256}\n"
