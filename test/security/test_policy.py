"""The policy file is exactly what the nodes use, and an enclave can be made of it."""

import os
from pathlib import Path

import pytest
from support.keystore import OPENSSL, Keystore, permissions, verified

from tools.security import policy
from tools.security.__main__ import SHIPPED, main

PAGE = Path(__file__).parents[2] / 'docs' / 'security.md'
TALKER = policy.Profile(
    '/lab/talker',
    '/lab',
    'talker',
    reply=frozenset({'/lab/talker/get_parameters'}),
    publish=frozenset({'/lab/words', '/rosout'}),
    subscribe=frozenset({'/clock'}),
)


@pytest.mark.ros
def test_the_shipped_policy_is_exactly_what_the_nodes_use(ros, capsys):
    if os.environ.get('ROS_DISTRO') == 'humble':
        pytest.skip('the file is of Jazzy, whose nodes have get_type_description besides')
    from tools.security import graph

    assert policy.differences(graph.profiles(context=ros.context), policy.read(SHIPPED)) == []


@pytest.mark.ros
def test_the_policy_of_another_robot_is_one_command_away(ros_env, tmp_path, capsys, monkeypatch):
    file = tmp_path / 'front.policy.xml'
    params = tmp_path / 'robot.yaml'
    params.write_text('/**/watchdog: {ros__parameters: {command: Twist}}')
    here = ['-r', '__ns:=/front', '-r', 'cmd_vel:=/cmd_vel', '--params-file', str(params)]
    for name in ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_SECURITY_ENABLE', 'ROS_LOCALHOST_ONLY'):
        monkeypatch.setenv(name, os.environ.get(name, ''))  # so that what it sets is undone
    common = ['security', '--policy', str(file)]

    monkeypatch.setattr('sys.argv', [*common, '--write', '--', *here])
    assert main() == 0
    monkeypatch.setattr('sys.argv', [*common, '--', *here])
    assert main() == 0
    monkeypatch.setattr('sys.argv', common)
    assert main() == 1

    detector, watchdog = policy.read(file)
    assert watchdog.enclave == '/edge_inference/front/watchdog'
    assert f'in namespace `/front` the detector is `{detector.enclave}`' in PAGE.read_text()
    assert {'/cmd_vel', '/front/odom'} <= watchdog.subscribe
    assert '/front/fresh/detections' in watchdog.publish


def test_a_policy_is_read_back_as_it_was_written(tmp_path):
    file = tmp_path / 'policy.xml'
    file.write_text(policy.write([TALKER]))

    assert policy.read(file) == [TALKER]


def test_every_difference_is_a_sentence():
    silent = policy.Profile('/lab/talker', '/', 'talker', subscribe=frozenset({'/clock', '/tf'}))

    assert policy.differences([TALKER], [silent]) == [
        '/lab/talker: is for / talker',
        '/lab/talker: may not reply /lab/talker/get_parameters',
        '/lab/talker: may not publish /lab/words',
        '/lab/talker: may not publish /rosout',
        '/lab/talker: may subscribe /tf, but does not',
    ]
    assert policy.differences([TALKER], []) == ['/lab/talker: no such enclave in the policy']
    assert policy.differences([], [TALKER]) == ['/lab/talker: no node of ours']


@pytest.mark.parametrize(
    ('before', 'after'), [('ALLOW', 'DENY'), ('0.2.0', '0.1.0'), ('/clock', 'clock')]
)
def test_a_policy_we_would_misread_is_refused(tmp_path, before, after):
    file = tmp_path / 'policy.xml'
    file.write_text(policy.write([TALKER]).replace(before, after))

    with pytest.raises(ValueError, match=r'policy\.xml'):
        policy.read(file)


def test_the_shipped_policy_lets_only_the_watchdog_say_what_is_fresh():
    owners = {
        name: [p.node for p in policy.read(SHIPPED) if name in p.publish]
        for name in ('/fresh/detections', '/freshness', '/lock', '/speed_limit')
    }

    assert set(map(tuple, owners.values())) == {('watchdog',)}


def test_no_policy_has_a_wildcard():
    assert '*' not in SHIPPED.read_text()
    assert '?' not in SHIPPED.read_text().partition('?>')[2]


@pytest.mark.skipif(OPENSSL is None, reason='the openssl command is not installed')
def test_permissions_are_signed_and_deny_what_they_do_not_name(tmp_path):
    place = Keystore(tmp_path / 'keys').add(TALKER)

    said = verified(place, 'permissions')

    assert permissions(TALKER) in said
    assert '<topic>rt/lab/words</topic>' in said
    assert '<topic>rr/lab/talker/get_parametersReply</topic>' in said
    assert said.rstrip().endswith('<default>DENY</default></grant></permissions></dds>')


def test_the_package_installs_the_policy():
    root = Path(__file__).parents[2]

    assert SHIPPED.is_relative_to(root / 'config')
    assert "*shared('config')" in (root / 'setup.py').read_text()
