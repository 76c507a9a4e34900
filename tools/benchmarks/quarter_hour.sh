#!/usr/bin/env bash
# A quarter of an hour on one GPU: every part of `tools/benchmark.py gpu` within a time of its own, rows to files as they
# are measured, most wanted first. Usage, in the repository's root:
#   tools/benchmarks/quarter_hour.sh RESULTS [PYTHON [PYTHON_OF_PYTORCH]]
# SCALE (1) and MINUTES (14) can be set for a trial on a processor: SCALE=0.01 MINUTES=3.
set -uo pipefail
results=${1:?usage: $0 RESULTS [PYTHON [PYTHON_OF_PYTORCH]]}
python=${2:-python}
torch_python=${3:-}
scale=${SCALE:-1}
mkdir -p "$results"
end=$((SECONDS + ${MINUTES:-14} * 60))
# TensorFlow's kernels that are compiled for this card are kept for the next start.
export CUDA_CACHE_MAXSIZE=${CUDA_CACHE_MAXSIZE:-4294967296}

run() { # NAME SECONDS arguments...
  local name=$1 seconds=$2 left=$((end - SECONDS))
  shift 2
  [ "$left" -lt 15 ] && { echo "$name: no time left"; return; }
  [ "$seconds" -gt "$left" ] && seconds=$left
  local start=$SECONDS
  timeout --kill-after=5 "$seconds" "$python" tools/benchmark.py gpu --scale="$scale" --repeats=3 \
    --seconds="$((seconds * 3 / 4))" --torch_python="$torch_python" --output="$results/$name.jsonl" "$@" \
    > "$results/$name.txt" 2> "$results/$name.log"
  echo "$name: ended with $? after $((SECONDS - start)) s, $(grep -cs unit "$results/$name.jsonl") rows"
}

command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$results/card.csv"
run limits 40 --parts=limits
# First what no card has shown yet. Trainings and torch.compile are made ready side by side, then measured one by one.
run hourglass 450 --parts=training,torch --profile="$results/profiles"
# The kernels are compiled and cached by now.
run first_step 90 --parts=first_step,input
run deterministic 70 --parts=first_step --deterministic
run training_xla 150 --parts=training_xla
run inference 80 --parts=inference
run lift 120 --parts=lift --profile="$results/profiles"
run steps 60 --parts=steps
run search 30 --parts=search
