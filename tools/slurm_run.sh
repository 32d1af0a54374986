#!/usr/bin/env bash
# Usage: tools/slurm_run.sh TOOL PARTITION JOB_NAME [arguments of the tool]
# GPUS processes, GPUS_PER_NODE of them on each node, with a GPU and CPUS_PER_TASK cores each, and
# SRUN_ARGS for srun. GPUS_PER_NODE=0 asks for no GPUs: that many CPU processes, placed by Slurm.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n 2p "$0" | cut -c3- >&2
    exit 2
fi
tool=$1
partition=$2
job_name=$3
shift 3
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
placement=()
if [ "$gpus_per_node" -gt 0 ]; then
    placement=("--gres=gpu:$gpus_per_node" "--ntasks-per-node=$gpus_per_node")
fi
# shellcheck disable=SC2086 (SRUN_ARGS are several words)
exec srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --ntasks="$gpus" \
    ${placement[@]+"${placement[@]}"} \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/$tool" --launcher slurm "$@"
