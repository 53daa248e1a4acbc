#!/bin/sh
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a module of the release that this file belongs to, which `current` may lead to. The process stays with it when `current`
# changes: what it imports later comes from where it was started.
release=$(dirname "$(readlink -f "$0")")
environment=$(readlink -f "$release/environment")
export PYTHONPATH="$release/python"
# Do not import from the working directory (-P), where tasks write, nor from a user's own packages (-s). launch.py does the same
# for Python 3.10, which has no -P.
safe=-P
[ ! -d "$environment/lib/python3.10" ] || safe=
exec "$environment/bin/python" -s $safe "$release/python/daskops_runtime/launch.py" "$@"
