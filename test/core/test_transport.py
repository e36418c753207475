"""A process uses our transport profile unless its user chose one."""

from pathlib import Path

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


def test_our_profile_can_be_switched_off(env):
    env.setenv(transport.TRANSPORT, 'default')

    assert transport.settings() == {}


def test_an_unknown_profile_is_refused_with_the_known_ones(env):
    env.setenv(transport.TRANSPORT, 'smh')

    with pytest.raises(ConfigError, match=r'smh: no such profile .* there are default, shm'):
        transport.settings()
