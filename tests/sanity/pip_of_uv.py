# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package pip of the virtual environments of ansible-test, which installs with uv in a tenth of the time.

ansible-test executes this file in place of get-pip.py, with the packages of an empty environment. Then the file becomes
``pip/__main__.py`` in the environment, which ansible-test executes with the commands of pip.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

pip = os.path.join(sysconfig.get_path("purelib"), "pip")
# Options that uv does not have. get-pip.py installs setuptools and wheel without the two last ones.
NOT_OF_UV = ("--disable-pip-version-check", "-y", "--no-setuptools", "--no-wheel")
arguments = [argument for argument in sys.argv[1:] if argument not in NOT_OF_UV]
command = arguments.pop(0) if arguments[0] in ("install", "uninstall", "wheel", "-V") else "bootstrap"
if command == "bootstrap":
    os.mkdir(pip)
    shutil.copyfile(__file__, os.path.join(pip, "__main__.py"))
elif command == "uninstall" and "pip" in arguments:
    shutil.rmtree(pip)
# pip itself is this file. `wheel` builds wheels for Pythons that are too new for ansible-test's packages; uv does it itself.
packages = [argument for argument in arguments if argument.partition("==")[0] != "pip"]
if command in ("wheel", "-V") or not packages:
    sys.exit()
# ansible-test removes the caller's settings of uv, such as UV_INDEX_URL, from the environment.
with open(os.path.expanduser("~/environment"), encoding="utf-8") as file:
    environment = dict(line.split("=", 1) for line in file.read().split("\0") if line)
uv = ["uv", "pip", "uninstall" if command == "uninstall" else "install", "--quiet", "--python", sys.executable]
sys.exit(subprocess.call([*uv, *packages], env=environment))
