"""What a fault test records for the report."""

from __future__ import annotations

import pytest


class Figure:
    """Records figures and how often something was tried."""

    def __init__(self, request):
        self._properties = request.node.user_properties
        self._long = request.config.pluginmanager.has_plugin('faults-report')

    def __call__(self, label, value, unit=''):
        self._properties.append(('figure', (label, float(value), unit)))

    def tries(self, quick, long):
        """How often to try: ``quick`` in the ordinary run, ``long`` for the report."""
        count = long if self._long else quick
        self._properties.append(('tried', count))
        return count


@pytest.fixture
def figure(request):
    return Figure(request)
