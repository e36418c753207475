"""A recording whose clock was not one gets no verdict."""

import pytest
from support import bags

from edge_inference_ros import cli

pytestmark = pytest.mark.fault('B2')

PERIOD_NS = 33_000_000
GOOD = [bags.FIRST_NS + i * PERIOD_NS for i in range(6)]
SENSELESS = {
    'no clock': [0] * 6,
    'one without a stamp': [*GOOD[:3], 0, *GOOD[4:]],
    'equal': [*GOOD[:3], GOOD[2], *GOOD[4:]],
    'all equal': GOOD[:1] * 6,
    'backward': [*GOOD[:3], GOOD[1], *GOOD[4:]],
    'set back and going on': [*GOOD[:3], *GOOD[:3]],
}


def pictures(folder, stamps):
    rows = [
        ('/image', bags.IMAGE, at, bags.image(ns)) for at, ns in zip(GOOD, stamps, strict=True)
    ]
    return bags.write(folder, rows)


def recording(folder, stamps):
    laps = {'d': {'sensor_to_output': 40, 'received': 1, 'superseded': 0, 'rejected': 0}}
    rows = [
        ('/latency', bags.DIAGNOSTICS, at, bags.diagnostics(ns, laps))
        for at, ns in zip(GOOD, stamps, strict=True)
    ]
    return bags.write(folder, rows)


TOOLS = {
    'pipeline': (pictures, ['replay', 'pipeline', '--warm-up', '0', '--bag']),
    'report': (recording, ['replay', 'report', '--bag']),
}


@pytest.mark.parametrize('tool', TOOLS)
@pytest.mark.parametrize('stamps', SENSELESS.values(), ids=SENSELESS)
def test_senseless_stamps_are_invalid_input_and_no_report(tmp_path, capsys, tool, stamps):
    make, words = TOOLS[tool]
    out = tmp_path / 'out'

    code = cli.main([*words, str(make(tmp_path / 'bag', stamps)), '--out', str(out)])

    assert code == 2
    said = capsys.readouterr()
    assert 'INVALID INPUT' in said.err
    assert not said.out
    assert not list(out.glob('*'))


@pytest.mark.parametrize('tool', TOOLS)
def test_the_same_recording_with_a_clock_gets_its_report(tmp_path, capsys, tool):
    make, words = TOOLS[tool]

    code = cli.main([*words, str(make(tmp_path / 'bag', GOOD)), '--out', str(tmp_path / 'out')])

    assert code == 0
    assert 'latency, ms' in capsys.readouterr().out
