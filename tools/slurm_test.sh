#!/usr/bin/env bash
# Usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# Environment: GPUS (8), GPUS_PER_NODE, CPUS_PER_TASK (5), SRUN_ARGS, MASTER_PORT (29500);
# GPUS_PER_NODE=0 for nodes without GPUs.
set -euo pipefail
if [ $# -lt 4 ]; then
    sed -n 2,4p "$0" | cut -c3- >&2
    exit 2
fi
exec "$(dirname "$0")/slurm_run.sh" test.py "$1" "$2" "$3" "$4" "${@:5}"
