#!/usr/bin/env bash
# Usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of test.py]
# One process per GPU; without GPUs, that many CPU processes.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n 2p "$0" | cut -c3- >&2
    exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
