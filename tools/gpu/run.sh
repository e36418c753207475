#!/usr/bin/env bash
# Runs the GPU tests or benchmarks on this machine, from wheels that lie here, in under 8 minutes.
#
#   tools/gpu/run.sh test            the tests marked gpu
#   tools/gpu/run.sh bench           the figures of bench/gpu.py
#
# EDGE_GPU_WHEELS   folder of wheels for this machine's Python (tools/gpu/wheels); no network is used
# EDGE_GPU_VENV     where the environment is made (.venv-gpu)
# EDGE_GPU_LIBS     folders put before LD_LIBRARY_PATH (tools/gpu/libs, if it is there)
# PYTHON            interpreter to start from (python3); its own packages stay visible, which is
#                   how a Jetson's TensorRT is found
#
# What to put into the folder of wheels, and how to get it: docs/tensorrt.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

what=${1:-test}
wheels=${EDGE_GPU_WHEELS:-tools/gpu/wheels}
venv=${EDGE_GPU_VENV:-.venv-gpu}
python=${PYTHON:-python3}
limit_s=420

if [ ! -x "$venv/bin/python" ]; then
  "$python" -m venv --system-site-packages "$venv"
fi
python=$venv/bin/python

# Everything the folder has and this Python lacks; nothing from outside, nothing replaced.
mapfile -t missing < <("$python" -m tools.gpu.missing)
if [ "${#missing[@]}" -gt 0 ]; then
  if [ ! -d "$wheels" ]; then
    echo "missing: ${missing[*]}; put their wheels into $wheels (docs/tensorrt.md)" >&2
    exit 2
  fi
  "$python" -m pip install --quiet --no-index --no-deps --find-links "$wheels" "${missing[@]}"
fi

libs=${EDGE_GPU_LIBS:-$PWD/tools/gpu/libs}
if [ -d "$libs" ]; then
  export LD_LIBRARY_PATH=$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export EDGE_INFERENCE_ENGINES=${EDGE_INFERENCE_ENGINES:-$PWD/build/gpu/engines}
mkdir -p build/gpu

"$python" -m tools.gpu.device

case $what in
  test) exec timeout "$limit_s" "$python" -m pytest -m gpu --durations=10 "${@:2}" test/gpu ;;
  bench) exec timeout "$limit_s" "$python" -m bench.gpu --out build/gpu "${@:2}" ;;
  *) echo "run.sh test|bench, not $what" >&2; exit 2 ;;
esac
