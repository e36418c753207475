"""A process uses our transport profile unless its user chose one."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge_inference_ros.core import transport
from edge_inference_ros.errors import ConfigError


@pytest.fixture
def env(monkeypatch):
    for name in (transport.TRANSPORT, *transport.PROFILE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_our_profile_is_used_when_the_user_has_none(env):
    settings = transport.settings()

    assert tuple(settings) == transport.PROFILE_VARIABLES
    assert {Path(value) for value in settings.values()} == {transport.profile()}


def test_another_of_ours_is_used_when_it_is_asked_for(env):
    env.setenv(transport.TRANSPORT, 'shm_4k')

    assert {Path(value).name for value in transport.settings().values()} == {'shm_4k.xml'}


@pytest.mark.parametrize('variable', transport.PROFILE_VARIABLES)
def test_the_users_profile_stands(env, variable):
    env.setenv(variable, '/etc/mine.xml')

    assert transport.settings() == {}


@pytest.mark.parametrize('name', ['shm', 'shm_4k', 'shm_small', 'udp'])
def test_each_profile_makes_processes_find_each_other_soon(name):
    space = '{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}'
    root = ET.parse(transport.profile(name)).getroot()  # noqa: S314 - our own file

    way = ('participant', 'rtps', 'builtin', 'discovery_config', 'leaseAnnouncement', 'nanosec')
    (period,) = root.findall('/'.join(space + step for step in way))
    assert int(period.text) <= 1e9


def test_our_profile_can_be_switched_off(env):
    env.setenv(transport.TRANSPORT, 'default')

    assert transport.settings() == {}


def test_an_unknown_profile_is_refused_with_the_known_ones(env):
    env.setenv(transport.TRANSPORT, 'smh')

    with pytest.raises(ConfigError, match=r'smh: no such profile .* there are default, shm'):
        transport.settings()


MIB = 1 << 20


@pytest.mark.parametrize(
    ('free_mib', 'asked', 'taken'),
    [
        (24_000, 'shm', 'shm'),
        (24_000, 'shm_4k', 'shm_4k'),
        (73, 'shm', 'shm'),
        (64, 'shm', 'shm_small'),
        (64, 'shm_4k', 'shm_small'),
        (64, 'shm_small', 'shm_small'),
        (64, 'udp', 'udp'),
        (20, 'shm', 'shm_small'),
        (16, 'shm', 'udp'),
        (0, 'shm', 'udp'),
        (0, 'shm_small', 'udp'),
        (0, 'udp', 'udp'),
    ],
)
def test_what_leaves_no_room_for_others_is_replaced_and_said(env, free_mib, asked, taken):
    env.setenv(transport.TRANSPORT, asked)

    choice = transport.choose(free_mib * MIB)

    assert {Path(value).stem for value in choice.settings.values()} == {taken}
    assert bool(choice.warning) is (asked != taken)
    if choice.warning:
        assert f'has {free_mib} MiB free, and {asked}.xml needs' in choice.warning
        assert f'took {taken}.xml instead' in choice.warning
        assert '--shm-size' in choice.warning


@pytest.mark.parametrize('how', ['default', 'own profile', 'no such file'])
def test_what_the_user_chose_stays_and_is_warned_of(env, tmp_path, how):
    if how == 'default':
        env.setenv(transport.TRANSPORT, 'default')
    else:
        path = tmp_path / 'mine.xml'
        if how == 'own profile':
            path.write_text('<segment_size> 1048576 </segment_size>')
        env.setenv(transport.PROFILE_VARIABLES[0], str(path))

    assert transport.choose(100 * MIB) == ({}, '')
    choice = transport.choose(MIB // 2)

    assert choice.settings == {}
    assert 'may be killed by SIGBUS' in choice.warning
    assert '--shm-size' in choice.warning


def test_another_middleware_needs_no_room_of_ours(env):
    env.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')

    assert transport.choose(0).warning == ''


def test_a_process_knows_that_it_runs_on_a_makeshift(env):
    for taken, expected in ((transport.profile('shm_small'), True), (transport.profile(), False)):
        env.setenv(transport.PROFILE_VARIABLES[0], str(taken))

        assert transport.is_makeshift() is expected


def test_pages_that_tracing_has_already_will_do(env, tmp_path):
    env.setattr(transport, 'room_bytes', lambda _: 0)
    with pytest.raises(ImportError, match='--shm-size'):
        transport.require_room(tmp_path)

    (tmp_path / 'lttng-ust-wait-6').touch()
    transport.require_room(tmp_path)


def test_a_folder_that_is_not_there_has_no_room(tmp_path):
    assert transport.room_bytes(tmp_path / 'none') == 0
    assert transport.room_bytes(tmp_path) > 0
