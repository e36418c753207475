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
# What to put into the folder of wheels, and how to get it: docs/tensorrt.md. Exit status 2: something
# is missing here, and the last line says what.
set -euo pipefail
cd "$(dirname "$0")/../.."

what=${1:-test}
wheels=${EDGE_GPU_WHEELS:-tools/gpu/wheels}
venv=${EDGE_GPU_VENV:-.venv-gpu}
python=${PYTHON:-python3}
limit_s=420

fail() {
  echo "$*" >&2
  exit 2
}

case $what in
  test | bench) ;;
  *) fail "run.sh test|bench, not $what" ;;
esac

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  rm -rf "$venv"
  "$python" -m venv --system-site-packages "$venv" ||
    fail "$python makes no virtual environment: install python3-venv, or name another by PYTHON"
fi
python=$venv/bin/python

# What this Python lacks, from the folder only; the numpy that is there stays: TensorRT and PyCUDA
# were built for it.
mkdir -p build/gpu
listed=$("$python" -m tools.gpu.missing)
if [ -n "$listed" ]; then
  mapfile -t missing <<<"$listed"
  [ -d "$wheels" ] || fail "missing: ${missing[*]}; put their wheels into $wheels (docs/tensorrt.md)"
  if [[ $listed == *cuda-bindings* ]] && compgen -G "$wheels/pycuda-*.whl" >/dev/null; then
    missing=("${missing[@]/cuda-bindings/pycuda}")
  fi
  "$python" -c 'import numpy; print(f"numpy=={numpy.__version__}")' \
    >build/gpu/constraints.txt 2>/dev/null || true
  "$python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$wheels" \
    --constraint build/gpu/constraints.txt "${missing[@]}" ||
    fail "$wheels lacks a wheel for this Python that one of these needs: ${missing[*]}"
fi

libs=${EDGE_GPU_LIBS:-$PWD/tools/gpu/libs}
if [ -d "$libs" ]; then
  export LD_LIBRARY_PATH=$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export EDGE_INFERENCE_ENGINES=${EDGE_INFERENCE_ENGINES:-$PWD/build/gpu/engines}

"$python" -m tools.gpu.device

# What libraries of another age call deprecated is no fault of ours.
quiet=(-W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning -W ignore::FutureWarning)
case $what in
  test) exec timeout "$limit_s" "$python" -m pytest -m gpu "${quiet[@]}" --durations=10 "${@:2}" test/gpu ;;
  bench) exec timeout "$limit_s" "$python" -m bench.gpu --out build/gpu "${@:2}" ;;
esac
