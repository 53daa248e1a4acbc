#!/bin/sh
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a module of the release that contains this file. The path may lead through the link `current`, so resolve it: the
# process must import from the same release after `current` changes.
release=$(dirname "$(readlink -f "$0")")
environment=$(readlink -f "$release/environment")
python=bin/python
# The files of dask_environment_path are elsewhere. Resolve this link, too, because it may lead to other files later.
if [ -L "$environment/prefix" ]; then
    environment=$(readlink -f "$environment/prefix")
    python=bin/python3
fi
export PYTHONPATH="$release/python"
# The drain of a worker must not depend on the lines of dask_environment_setup.
needed=required
[ "$1" != daskops_runtime.stop ] || needed=optional
# Do not import from the working directory (-P), where tasks write, nor from the user's own packages (-s). Python 3.10 has no
# -P; launch.py does the same there.
safe=-P
[ ! -d "$environment/lib/python3.10" ] || safe=
set -- "$environment/$python" -s $safe "$release/python/daskops_runtime/launch.py" "$@"
if [ -e "$release/setup.lines" ]; then
    export DASKOPS_ENVIRONMENT="$environment"
    set -- /bin/bash --noprofile --norc "$release/setup.sh" "$needed" "$release/setup.lines" "$@"
fi
exec "$@"
