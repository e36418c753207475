"""The kernel takes the detector's memory away, and then the detector."""

import signal
import time

import pytest
from faults.test_process_faults import GENEROUS_S, Graph
from support.memory import memory_group  # noqa: F401 - a fixture
from support.models import scripted_model

pytestmark = [pytest.mark.ros, pytest.mark.faults]

FEW_BYTES = 4 << 20


@pytest.mark.fault('S2')
def test_a_detector_the_kernel_kills_for_its_memory_is_as_if_killed(
    memory_group,  # noqa: F811
    ros,
    tmp_path,
    figure,
):
    graph = Graph(ros, scripted_model(tmp_path / 'scripted')).until_valid()
    small = graph.picture.height, graph.picture.width, graph.picture.step, graph.picture.data[:]

    memory_group.confine(graph.detector.process.pid, FEW_BYTES)
    graph.picture.height, graph.picture.width, graph.picture.step = 2000, 2000, 6000
    graph.picture.data.frombytes(bytes(12_000_000 - len(graph.picture.data)))
    graph.until(lambda: graph.detector.process.poll() is not None, 'the end of the detector')
    graph.until(lambda: graph.state() == 'STALE', 'STALE')
    graph.until(lambda: graph.locks[-1][1], 'the lock')
    late_s = graph.stale_after_due_s()
    height, width, step, data = small
    graph.picture.height, graph.picture.width, graph.picture.step = height, width, step
    graph.picture.data = data
    start = time.monotonic()
    graph.detector = graph.start_detector()
    graph.until_valid()

    figure('STALE after D', late_s * 1e3, 'ms')
    figure('VALID after', time.monotonic() - start, 's')
    assert graph.detector.process.poll() is None
    assert late_s < GENEROUS_S


def test_the_kernel_did_it(memory_group, ros):  # noqa: F811
    child = ros.child('-c', 'input(); held = bytearray(200 << 20); print("has it")')
    memory_group.confine(child.process.pid, FEW_BYTES)
    child.process.stdin.write('\n')
    child.process.stdin.flush()

    assert child.code() == -signal.SIGKILL
    assert 'has it' not in child.said
