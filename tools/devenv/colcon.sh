#!/usr/bin/env bash
# Builds the package as a robot's workspace does, by copies and by links, over the environment's
# ROS 2; runs every node from each, then the tests. PY names the environment's interpreter.
# TESTS= (empty) leaves the tests out.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$root/build/colcon
rm -rf "$work"
mkdir -p "$work/src"
# A copy of what git knows: build folders and caches stay out of the workspace.
git -C "$root" ls-files -co --exclude-standard -z | tar -C "$root" --null -T - -cf - --ignore-failed-read |
  (mkdir "$work/src/edge_inference_ros" && tar -C "$work/src/edge_inference_ros" -xf -)
cd "$work"
export PYTHONPATH=${COLCON_PATH:-} # not the checkout: what is installed must be enough
colcon() { "$PY" -m colcon --log-base log "$@"; }

build() { # name of the build, options of colcon
  colcon build --build-base "build/$1" --install-base "install/$1" --packages-select edge_inference_ros "${@:2}"
  (
    set +u
    # shellcheck disable=SC1090
    source "install/$1/local_setup.bash"
    "$PY" "$root/tools/devenv/installed.py" "$work/install/$1"
  )
}
build copies
build links --symlink-install
[ -n "${TESTS-1}" ] || exit 0
colcon test --build-base build/copies --install-base install/copies \
  --packages-select edge_inference_ros --event-handlers console_direct+ \
  --pytest-args -n auto --maxprocesses 8 --max-worker-restart 0 --dist loadfile || true
colcon test-result --test-result-base build/copies --verbose
