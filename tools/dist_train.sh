#!/usr/bin/env bash
# Train with several processes: on one machine, or run once on each of NNODES machines.
#
# Usage: tools/dist_train.sh CONFIG GPUS [ARGUMENTS OF tools/train.py]
#   GPUS  processes on this machine: one per GPU, or as many as wanted where there is none
# Environment:
#   NNODES        machines, 1 unless told; MIN:MAX goes on with fewer when some are lost, and with more when they return
#   NODE_RANK     number of this machine, from 0
#   MASTER_ADDR   address of machine 0, where all meet
#   PORT          its port, 29500 unless told
#   MAX_RESTARTS  when a process dies, all start again from the last checkpoint, so often at most; 0 unless told
#   TORCHRUN_ARGS further arguments of torchrun
#   PYTHON        python unless told
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [ARGUMENTS OF tools/train.py]" >&2
    exit 2
fi
config=$1
gpus=$2
nnodes=${NNODES:-1}
node_rank=${NODE_RANK:-0}
restarts=${MAX_RESTARTS:-0}
address=${MASTER_ADDR:-127.0.0.1}
port=${PORT:-29500}
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ $restarts == 0 && $nnodes != *:* ]]; then
    meeting=(--nnodes="$nnodes" --node_rank="$node_rank" --master_addr="$address" --master_port="$port")
    resume=()
else
    # Machine 0 keeps the list of who is there.
    meeting=(--nnodes="$nnodes" --max_restarts="$restarts" --rdzv_backend=c10d --rdzv_id="mmdefusion-$port"
        --rdzv_endpoint="$address:$port" --rdzv_conf="is_host=$((node_rank == 0))")
    resume=(--resume)
    arguments=("${@:3}")
    for i in "${!arguments[@]}"; do
        if [[ ${arguments[i]} == --resume=* || ${arguments[i]} == --resume && ${arguments[i + 1]:--} != -* ]]; then
            echo "--resume CHECKPOINT would begin there again whenever a process dies, and lose what was trained since:" \
                "expected --cfg-options load_from=CHECKPOINT, or a work dir whose last_checkpoint names it" >&2
            exit 2
        fi
    done
    # Otherwise PyTorch 2.13 keeps one store for all starts, in which processes find addresses of those that died.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
fi

export PYTHONPATH=$tools/..${PYTHONPATH:+:$PYTHONPATH}
# python -m torch.distributed.run is torchrun, in the interpreter that is asked for.
# shellcheck disable=SC2086  # TORCHRUN_ARGS is a list of arguments
exec "${PYTHON:-python}" -m torch.distributed.run \
    "${meeting[@]}" --nproc_per_node="$gpus" ${TORCHRUN_ARGS:-} \
    "$tools/train.py" "$config" --launcher pytorch "${resume[@]}" "${@:3}"
