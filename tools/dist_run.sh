#!/usr/bin/env bash
# Usage: tools/dist_run.sh TOOL PROCESSES [arguments of the tool]
# One process per GPU; without GPUs, that many CPU processes.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 2p "$0" | cut -c3- >&2
    exit 2
fi
tool=$1
processes=$2
shift 2
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$(dirname "$0")/$tool" --launcher pytorch "$@"
