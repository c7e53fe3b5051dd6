#!/usr/bin/env bash
# Train on a Slurm cluster: one tools/dist_train.sh on each node.
#
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [ARGUMENTS OF tools/train.py]
# Environment:
#   GPUS           processes in all, 8 unless told
#   GPUS_PER_NODE  processes on each node, at most 8 unless told
#   CPUS_PER_TASK  cores for each process, 5 unless told
#   GRES           what to ask of Slurm per node, gpu:GPUS_PER_NODE unless told; empty for nodes without a GPU
#   SRUN_ARGS      further arguments of srun
#   PORT, PYTHON   as for tools/dist_train.sh
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [ARGUMENTS OF tools/train.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
work_dir=$4
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
if ((gpus % gpus_per_node)); then
    echo "GPUS is $gpus, but must be a multiple of GPUS_PER_NODE, which is $gpus_per_node" >&2
    exit 2
fi
gres=${GRES-gpu:$gpus_per_node}
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The first node of the job, whose name only the job itself knows, is the meeting point of all processes.
per_node='export NNODES=$SLURM_NNODES NODE_RANK=$SLURM_NODEID
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR
exec "$0" "$@"'

# shellcheck disable=SC2086  # SRUN_ARGS is a list of arguments
exec srun --partition="$partition" --job-name="$job_name" ${gres:+--gres="$gres"} \
    --nodes="$((gpus / gpus_per_node))" --ntasks-per-node=1 \
    --cpus-per-task="$((gpus_per_node * ${CPUS_PER_TASK:-5}))" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c "$per_node" "$tools/dist_train.sh" "$config" "$gpus_per_node" --work-dir "$work_dir" "${@:5}"
