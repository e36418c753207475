"""The host's counters become shares, and what cannot be read is not there."""

import pytest

from edge_inference_ros.core import registry
from edge_inference_ros.gauges.host import Host


def proc(folder, *, idle, busy, available=3000):
    (folder / 'stat').write_text(f'cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1\n')
    (folder / 'meminfo').write_text(
        f'MemTotal: 4000 kB\nMemAvailable: {available} kB\nHugePages_Total: 0\n'
    )
    return folder


def test_the_processor_is_measured_between_two_readings(tmp_path):
    gauge = Host(proc(tmp_path, idle=100, busy=100))
    gauge.read()
    proc(tmp_path, idle=130, busy=110)

    assert gauge.read()['cpu'] == pytest.approx(0.25)


def test_memory_is_what_is_not_available(tmp_path):
    assert Host(proc(tmp_path, idle=1, busy=1)).read()['memory'] == pytest.approx(0.25)


@pytest.mark.parametrize('text', ['', 'cpu x y', 'nothing'])
def test_what_cannot_be_read_is_absent_and_never_zero(tmp_path, text):
    for name in ('stat', 'meminfo'):
        (tmp_path / name).write_text(text)

    assert Host(tmp_path).read() == {}
    assert Host(tmp_path / 'gone').read() == {}


@pytest.mark.parametrize('name', registry.names('gauges'))
def test_every_gauge_is_there_or_none_and_answers_finite_numbers(name):
    gauge = registry.load('gauges', name).open()

    for value in gauge.read().values() if gauge else ():
        assert value == value
