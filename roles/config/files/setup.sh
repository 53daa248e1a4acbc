#!/bin/bash
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Usage: setup.sh required|optional LINES PROGRAM ARGUMENTS...
# Run the lines of the file LINES, those of dask_environment_setup, and replace this shell with the program, so that systemd
# keeps its main process. A line that fails ends this shell with status 78; with `optional`, the program runs all the same.
readonly daskops_needed=$1 daskops_lines=$2 daskops_path=$PYTHONPATH
readonly -a daskops_program=("${@:3}")
unset PYTHONPATH
daskops_number=0 daskops_line= daskops_complete=

daskops_run() {
    trap - EXIT
    # The release's modules come first.
    export PYTHONPATH="$daskops_path${PYTHONPATH:+:$PYTHONPATH}"
    exec "${daskops_program[@]}"
}

daskops_failed() {
    echo "dask_environment_setup: line $daskops_number ($daskops_line) $1" >&2
    [[ $daskops_needed == optional ]] || { trap - EXIT; exit 78; }
}

# A line may call exit.
trap 'daskops_failed "ended the shell with status $?"; daskops_run' EXIT
# Functions such as `module` are defined there. No file of a home directory is read, because tasks can write there.
[[ ! -r /etc/profile ]] || . /etc/profile >&2 </dev/null
# The lines run outside of functions: `declare` in a file that they source would make variables of a function.
while IFS= read -r -u 9 daskops_line || { daskops_complete=1; false; }; do
    daskops_number=$((daskops_number + 1))
    # The program may have a question at its input, and its output may be an answer.
    eval "$daskops_line" >&2 </dev/null || daskops_failed "ended with status $?"
done 9<"$daskops_lines"
[[ $daskops_complete ]] || daskops_failed "left out the lines after it"
daskops_run
