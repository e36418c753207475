"""Two hosts and a cable, as network namespaces of this machine; needs root and ``ip``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from support.ros import Child, wait_until

UDP_ONLY = """<?xml version="1.0" encoding="UTF-8" ?>
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <transport_descriptors>
    <transport_descriptor><transport_id>udp</transport_id><type>UDPv4</type></transport_descriptor>
  </transport_descriptors>
  <participant profile_name="udp" is_default_profile="true">
    <rtps>
      <userTransports><transport_id>udp</transport_id></userTransports>
      <useBuiltinTransports>false</useBuiltinTransports>
    </rtps>
  </participant>
</profiles>
"""
"""Shared memory knows no network namespaces: it would go on where the cable is cut."""


class Network:
    """Hosts ``a`` and ``b``, whose cable can be cut. The addresses exist in their namespaces only.

    Attributes:
        env: what a process needs besides to reach the other host, and only over the cable.
    """

    def __init__(self, profile):
        tag = f'{os.getpid() % 100_000:05d}'
        self.hosts = {name: f'edge{tag}{name}' for name in 'ab'}
        profile.write_text(UDP_ONLY)
        self.env = {
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
            'ROS_LOCALHOST_ONLY': None,
            'FASTRTPS_DEFAULT_PROFILES_FILE': str(profile),
            'FASTDDS_DEFAULT_PROFILES_FILE': str(profile),
        }

    def build(self):
        """Make hosts and cable."""
        a, b = self.hosts.values()
        for host in (a, b):
            _ip('netns', 'add', host)
        _ip('link', 'add', a, 'netns', a, 'type', 'veth', 'peer', 'name', b, 'netns', b)
        for number, host in enumerate((a, b), start=1):
            _ip('-n', host, 'address', 'add', f'10.213.77.{number}/24', 'dev', host)
            for link in ('lo', host):
                _ip('-n', host, 'link', 'set', link, 'up')
        # The kernel takes up to a second more, and who starts before finds no interface.
        for host in (a, b):
            wait_until(lambda host=host: 'state UP' in _ip('-n', host, 'link', 'show', host))

    def remove(self):
        """Give everything back; the cable goes with its ends."""
        for host in self.hosts.values():
            _ip('netns', 'delete', host, check=False)

    def cut(self):
        """Pull the cable out of ``a``."""
        _ip('-n', self.hosts['a'], 'link', 'set', self.hosts['a'], 'down')

    def mend(self):
        """Plug it in again."""
        _ip('-n', self.hosts['a'], 'link', 'set', self.hosts['a'], 'up')

    def child(self, ros, host, *argv):
        """As ``ros.child``, on a host."""
        env = {k: v for k, v in {**ros.env, **self.env}.items() if v is not None}
        words = ['ip', 'netns', 'exec', self.hosts[host], sys.executable, *map(str, argv)]
        child = Child(words, env)
        ros.children.append(child)
        return child


def _ip(*words, check=True):
    command = ['/usr/bin/env', 'ip', *words]
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout  # noqa: S603


@pytest.fixture
def network(tmp_path):
    """Two hosts; ask for it before ``ros``, so that the processes end first."""
    if os.geteuid() != 0 or shutil.which('ip') is None:
        pytest.skip('network namespaces need root and the ip command')
    network = Network(tmp_path / 'udp_only.xml')
    try:
        network.build()
    except subprocess.CalledProcessError as error:
        network.remove()
        pytest.skip(f'network namespaces cannot be made here: {error.stderr.strip()}')
    yield network
    network.remove()
