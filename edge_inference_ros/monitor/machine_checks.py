"""What makes perception late or deaf on this machine, graph or no graph."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_inference_ros.core import transport
from edge_inference_ros.core.types import Level
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine.quota import quota
from edge_inference_ros.monitor.finding import Check, Finding, Machine
from edge_inference_ros.ros import process, segments

DISTRIBUTIONS = ('humble', 'jazzy', 'kilted', 'lyrical')
FAST_DDS = 'rmw_fastrtps_cpp'
_UNSYNCHRONISED = 0x40  # STA_UNSYNC, adjtimex(2)
_MIB = 1 << 20


def distribution(machine: Machine) -> Iterator[Finding]:
    """Which ROS 2 and which middleware run here."""
    name = machine.environ.get('ROS_DISTRO', '')
    rmw = machine.environ.get('RMW_IMPLEMENTATION', '') or FAST_DDS
    if not name and machine.run([sys.executable, '-c', 'import rclpy']).status:
        yield Finding(
            'ros', Level.ERROR, 'no ROS 2 is sourced, and rclpy does not load',
            'source /opt/ros/jazzy/setup.bash', "python3 -c 'import rclpy'",
        )  # fmt: skip
    elif not name:
        yield Finding('ros', Level.OK, 'rclpy loads; ROS_DISTRO is not set')
    elif name not in DISTRIBUTIONS:
        yield Finding(
            'ros', Level.WARN,
            f'ROS 2 {name} is none that this package was written for',
            f'use one of {", ".join(DISTRIBUTIONS)}', 'echo $ROS_DISTRO',
        )  # fmt: skip
    else:
        yield Finding('ros', Level.OK, f'ROS 2 {name}')
    if rmw == FAST_DDS:
        yield Finding('middleware', Level.OK, rmw)
    else:
        yield Finding(
            'middleware', Level.WARN,
            f'{rmw}: our transport profile is for Fast DDS and has no effect on it',
            'unset RMW_IMPLEMENTATION, or give it shared memory by its own settings',
            'edge_inference doctor',
        )  # fmt: skip


def shared_memory(machine: Machine) -> Iterator[Finding]:
    """Whether /dev/shm holds the segments of the transport profile that is in use."""
    folder = machine.root / 'dev/shm'
    try:
        path = profile_in_use(machine)
        stat = os.statvfs(folder)
    except ConfigError as error:
        yield Finding('shared memory', Level.ERROR, str(error), 'unset or correct the variable')
        return
    except OSError as error:
        yield Finding(
            'shared memory', Level.ERROR, f'{folder}: {error.strerror}',
            'mount a tmpfs there: mount -t tmpfs -o size=1g tmpfs /dev/shm', 'df -h /dev/shm',
        )  # fmt: skip
        return
    need = 2 * transport.need_bytes(path)  # what a node of ours asks before it starts
    yield judge_shared_memory(stat.f_bavail * stat.f_frsize, need, path)
    dead = sum(
        file.stat().st_size for files in segments.dead(folder) for file in files if file.exists()
    )
    if dead:
        yield Finding(
            'shared memory', Level.WARN,
            f'{dead // _MIB} MiB in {folder} belong to processes that are gone',
            'they go when the next node of ours starts, or: fastdds shm clean', 'df -h /dev/shm',
        )  # fmt: skip


def judge_shared_memory(free: int, need: int, path: Path | None) -> Finding:
    """Bytes that are free against bytes that are needed."""
    name = path.stem if path else 'default'
    text = f'{free // _MIB} MiB free in /dev/shm, profile {name} needs {need // _MIB} MiB'
    if free >= need:
        return Finding('shared memory', Level.OK, text)
    return Finding(
        'shared memory', Level.ERROR, f'{text}: images will be lost, or nodes killed by SIGBUS',
        transport.ENLARGE, 'df -h /dev/shm',
    )  # fmt: skip


def profile_in_use(machine: Machine) -> Path | None:
    """The XML that Fast DDS reads here; None for its own defaults.

    Raises:
        ConfigError: the variable names no profile.
    """
    for variable in transport.PROFILE_VARIABLES:
        if chosen := machine.environ.get(variable):
            return Path(chosen)
    name = machine.environ.get(transport.TRANSPORT) or 'shm'
    return None if name == 'default' else transport.profile(name)


def allocator(_: Machine) -> Iterator[Finding]:
    """Whether malloc can be told to keep the memory of big messages."""
    if process.keep_big_buffers():
        yield Finding('malloc', Level.OK, 'glibc keeps the buffers of big messages for our nodes')
    else:
        yield Finding(
            'malloc', Level.WARN, 'not glibc: each big message pays for its pages anew',
            'run on a distribution with glibc (Debian, Ubuntu), not on Alpine', 'ldd --version',
        )  # fmt: skip


def processor(machine: Machine) -> Iterator[Finding]:
    """A quota of processor time, and clocks that follow the load."""
    cores = len(os.sched_getaffinity(0))
    share = quota(machine.root / 'sys/fs/cgroup', machine.root / 'proc/self/cgroup')
    if share is not None and share < cores:
        yield Finding(
            'processor', Level.WARN,
            f'a quota of {share:g} cores of {cores}: past it every thread is stopped for the rest'
            ' of 100 ms',
            f'docker run --cpus={cores}, or CPUQuota= in the systemd unit; or fewer threads',
            'cat /sys/fs/cgroup/cpu.stat',
        )  # fmt: skip
    else:
        yield Finding('processor', Level.OK, f'{cores} cores without a quota')
    slow = sorted(
        {machine.read(f'/{path.relative_to(machine.root)}')
         for path in machine.glob('/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor')}
        - {'performance', ''}
    )  # fmt: skip
    if slow:
        yield Finding(
            'governor', Level.WARN,
            f'{", ".join(slow)}: the clock rises only after the work has come',
            'sudo cpupower frequency-set -g performance (Jetson: sudo jetson_clocks)',
            'cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor',
        )  # fmt: skip
    else:
        yield Finding('governor', Level.OK, 'no governor that slows idle cores')


@dataclass(frozen=True)
class KernelClock:
    """What the kernel says of its clock: adjtimex(2)."""

    synchronised: bool
    most_error_s: float


def kernel_clock() -> KernelClock | None:
    """Asks the kernel; None where it does not answer."""
    fields = (ctypes.c_long * 32)()  # struct timex is smaller; its status is the sixth long
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(fields))
    except (AttributeError, OSError):
        return None
    if answer < 0:
        return None
    status = fields[5] & 0xFFFFFFFF
    return KernelClock(not status & _UNSYNCHRONISED, fields[3] * 1e-6)


def judge_clock(clock: KernelClock | None, *, hardware: bool) -> Finding:
    """Whether somebody disciplines the clock that every age is read from."""
    if clock is None:
        return Finding('clock', Level.WARN, 'the kernel does not say whether it is synchronised')
    if clock.synchronised:
        return Finding(
            'clock', Level.OK, f'synchronised, off by at most {1e3 * clock.most_error_s:.1f} ms'
        )
    ptp = '; there is a PTP clock: ptp4l and phc2sys keep microseconds' if hardware else ''
    return Finding(
        'clock', Level.WARN,
        'nobody synchronises this clock: stamps of sensors with a clock of their own drift',
        f'sudo apt-get install chrony, and the same on every computer of the robot{ptp}',
        'chronyc tracking',
    )  # fmt: skip


def clock(machine: Machine) -> Iterator[Finding]:
    """Whether the system clock is disciplined."""
    yield judge_clock(kernel_clock(), hardware=bool(machine.glob('/dev/ptp*')))


def power(machine: Machine) -> Iterator[Finding]:
    """The power mode of a Jetson."""
    ran = machine.run(['nvpmodel', '-q'])
    if ran.status is None:
        yield Finding('power', Level.OK, 'no nvpmodel here: not a Jetson')
        return
    mode = ran.text.partition('NV Power Mode:')[2].strip().partition('\n')[0] or ran.text
    if 'MAXN' in mode:
        yield Finding('power', Level.OK, f'power mode {mode}')
    else:
        yield Finding(
            'power', Level.WARN,
            f'power mode {mode} limits cores and clocks: figures of another mode do not hold',
            'sudo nvpmodel -m 0, or measure again in this mode', 'nvpmodel -q',
        )  # fmt: skip


CHECKS: tuple[Check, ...] = (
    distribution, shared_memory, allocator, processor, clock, power,
)  # fmt: skip
