#!/usr/bin/env bash
# Test a checkpoint with several processes: on one machine, or run once on each of NNODES machines.
#
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [ARGUMENTS OF tools/test.py]
#   GPUS  processes on this machine: one per GPU, or as many as wanted where there is none
# Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT, PYTHON.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [ARGUMENTS OF tools/test.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
gpus=$3
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

export PYTHONPATH=$tools/..${PYTHONPATH:+:$PYTHONPATH}
# python -m torch.distributed.run is torchrun, in the interpreter that is asked for.
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
