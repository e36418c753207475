"""A container's share of the host counts, not the host."""

import pytest

from edge_inference_ros.backends import _cores
from edge_inference_ros.machine.quota import quota


@pytest.fixture
def machine(monkeypatch):
    def make(cores, share=None):
        monkeypatch.setattr(_cores.os, 'sched_getaffinity', lambda _: range(cores))
        monkeypatch.setattr(_cores, 'quota', lambda: share)

    return make


@pytest.mark.parametrize(
    ('cores', 'share', 'count', 'why'),
    [
        (1, None, 1, 'this process may use 1 cores'),
        (2, None, 1, 'this process may use 2 cores'),
        (4, None, 3, 'this process may use 4 cores'),
        (64, None, 4, 'this process may use 64 cores'),
        (64, 2.0, 1, 'this container has 2 of 64 cores (cgroup quota)'),
        (64, 1.5, 1, 'this container has 1.5 of 64 cores'),
        (64, 0.5, 1, 'this container has 0.5 of 64 cores'),
        (64, 3.9, 2, 'this container has 3.9 of 64 cores'),
        (2, 16.0, 1, 'this process may use 2 cores'),
    ],
)
def test_one_core_of_those_we_may_use_is_left_to_others(machine, cores, share, count, why):
    machine(cores, share)

    found = _cores.threads()

    assert found.count == count
    assert found.why.startswith(why)
    assert str(found).startswith(f'{count} thread')


def test_what_was_asked_for_is_taken(machine):
    machine(2, 1.0)

    assert str(_cores.threads(8)) == '8 threads: as asked'


def files(root, texts):
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ('texts', 'groups', 'share'),
    [
        ({}, '0::/', None),
        ({'cpu.max': 'max 100000'}, '0::/', None),
        ({'cpu.max': '150000 100000'}, '0::/', 1.5),
        ({'pod/cpu.max': '50000 100000', 'pod/a/cpu.max': 'max 100000'}, '0::/pod/a', 0.5),
        ({'pod/cpu.max': '400000 100000', 'pod/a/cpu.max': '200000 100000'}, '0::/pod/a', 2.0),
        (
            {'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000'},
            '3:cpu:/\n1:name=systemd:/',
            None,
        ),
        (
            {'cpu,cpuacct/cpu.cfs_quota_us': '250000', 'cpu,cpuacct/cpu.cfs_period_us': '100000'},
            '3:cpu,cpuacct:/',
            2.5,
        ),
        (
            {'cpu/docker/x/cpu.cfs_quota_us': '100000', 'cpu/docker/x/cpu.cfs_period_us': '50000'},
            '3:cpu:/docker/x\n4:memory:/docker/x',
            2.0,
        ),
        ({'cpu.max': 'nonsense'}, '0::/', None),
        ({'cpu.max': '100000 0'}, '0::/', None),
    ],
)
def test_the_least_share_of_the_groups_around_a_process_is_its_own(tmp_path, texts, groups, share):
    files(tmp_path / 'cgroup', texts)
    files(tmp_path, {'self': groups})

    assert quota(tmp_path / 'cgroup', tmp_path / 'self') == share


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert quota(tmp_path / 'none', tmp_path / 'neither') is None
