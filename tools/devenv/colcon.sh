#!/usr/bin/env bash
# Builds and tests the package as a robot's workspace does, over the environment's ROS 2.
# PY names the environment's interpreter.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$root/build/colcon
rm -rf "$work"
mkdir -p "$work/src"
# A copy of what git knows: build folders and caches stay out of the workspace.
git -C "$root" ls-files -co --exclude-standard -z | tar -C "$root" --null -T - -cf - --ignore-failed-read |
  (mkdir "$work/src/edge_inference_ros" && tar -C "$work/src/edge_inference_ros" -xf -)
cd "$work"
colcon() { "$PY" -m colcon --log-base log "$@"; }
colcon build --packages-select edge_inference_ros
colcon test --packages-select edge_inference_ros --event-handlers console_direct+ || true
colcon test-result --verbose
