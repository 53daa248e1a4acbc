#!/bin/bash
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Usage: setup.sh required|optional LINES PROGRAM ARGUMENTS...
# Run the lines of dask_environment_setup, which are in the file LINES, and replace this shell with the program, so that
# systemd keeps its main process. If a line fails, this shell ends with status 78. With `optional`, the program still runs.
readonly daskops_needed=$1 daskops_lines=$2 daskops_path=${PYTHONPATH-}
readonly -a daskops_program=("${@:3}")
unset PYTHONPATH
daskops_number=0 daskops_line= daskops_complete=

daskops_run() {
    trap - EXIT
    # Put the modules of the release first.
    export PYTHONPATH="$daskops_path${daskops_path:+${PYTHONPATH:+:}}${PYTHONPATH-}"
    exec "${daskops_program[@]}"
}

daskops_failed() {
    echo "dask_environment_setup: line $daskops_number ($daskops_line) $1" >&2
    [[ $daskops_needed == optional ]] || { trap - EXIT; exit 78; }
}

# A line may call exit.
trap 'daskops_failed "ended the shell with status $?"; daskops_run' EXIT
# /etc/profile defines functions such as `module`. Read no file of a home directory, because tasks can write there.
[[ ! -r /etc/profile ]] || . /etc/profile >&2 </dev/null
# Run the lines outside of functions. In a function, `declare` in a sourced file would make local variables.
while IFS= read -r -u 9 daskops_line || { daskops_complete=1; false; }; do
    daskops_number=$((daskops_number + 1))
    # The program may need its standard input and output, so the line must not use them.
    eval "$daskops_line" >&2 </dev/null || daskops_failed "ended with status $?"
done 9<"$daskops_lines"
[[ $daskops_complete ]] || daskops_failed "skipped the lines after it"
daskops_run
