#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG PROCESSES [options of train.py]
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 2p "$0" | cut -c3- >&2
    exit 2
fi
exec "$(dirname "$0")/dist_run.sh" train.py "$2" "$1" "${@:3}"
