#!/usr/bin/env bash
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# Environment: GPUS (8), GPUS_PER_NODE, CPUS_PER_TASK (5), SRUN_ARGS, MASTER_PORT (29500);
# GPUS_PER_NODE=0 for nodes without GPUs.
set -euo pipefail
if [ $# -lt 4 ]; then
    sed -n 2,4p "$0" | cut -c3- >&2
    exit 2
fi
exec "$(dirname "$0")/slurm_run.sh" train.py "$1" "$2" "$3" --work-dir "$4" "${@:5}"
