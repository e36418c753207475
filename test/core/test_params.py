"""One declaration, checked as a whole."""

import math
from dataclasses import dataclass

import pytest

from edge_inference_ros.core.params import build, check, param, table
from edge_inference_ros.errors import ParameterError


@dataclass(frozen=True)
class Oven:
    heat_c: float = param(180.0, 'how hot', low=50.0, high=250.0, live=True)
    shelf: int = param(1, 'which one', low=0, high=3)
    mode: str = param('fan', 'how', choices=('fan', 'grill'))
    light: bool = param(False, 'on or off')
    trays: tuple[str, ...] = param((), 'what goes in')
    stages_c: tuple[float, ...] = param((180.0,), 'one after the other', low=0.0, high=250.0)

    def faults(self):
        found = (
            ['mode = grill needs shelf = 3'] if self.mode == 'grill' and self.shelf != 3 else []
        )
        return found + (['light needs trays'] if self.light and not self.trays else [])


def test_the_defaults_hold():
    check(Oven())


@pytest.mark.parametrize(
    ('said', 'words'),
    [
        ({'heat_c': 20.0}, 'heat_c = 20.0: expected 50 … 250'),
        ({'heat_c': 300.0}, 'heat_c = 300.0: expected 50 … 250'),
        ({'heat_c': math.nan}, 'heat_c = nan: expected a finite number'),
        ({'heat_c': math.inf}, 'finite'),
        ({'heat_c': 200}, 'heat_c = 200: expected float (write 200.0)'),
        ({'heat_c': '200'}, 'expected float'),
        ({'shelf': True}, 'shelf = True: expected int'),
        ({'shelf': -1}, 'shelf = -1: expected 0 … 3'),
        ({'mode': 'microwave'}, 'expected one of fan, grill'),
        ({'light': 1}, 'expected bool'),
        ({'trays': 'bread'}, 'expected a list of str'),
        ({'trays': ['bread', 3]}, 'an entry is wrong: expected str'),
        ({'stages_c': [100.0, math.nan]}, 'an entry is wrong: expected a finite number'),
        ({'heta_c': 200.0}, 'heta_c: unknown parameter; did you mean heat_c?'),
        ({'zzz': 1}, 'zzz: unknown parameter; there are heat_c'),
        ({'mode': 'grill'}, 'grill needs shelf = 3'),
        ({'trays': [1, 2.0]}, 'an entry is wrong: expected str'),
        ({'stages_c': [1, math.nan]}, 'expected float (write 1.0), expected a finite number'),
    ],
)
def test_a_bad_value_is_named_with_what_was_allowed(said, words):
    with pytest.raises(ParameterError) as raised:
        build(Oven, said)

    assert words in str(raised.value)


def test_all_faults_are_named_at_once():
    with pytest.raises(ParameterError, match=r'heat_c = 1\.0.*shelf = 9'):
        build(Oven, {'heat_c': 1.0, 'shelf': 9})


def test_faults_of_every_kind_are_named_at_once():
    said = {'zzz': 1, 'heat_c': '200', 'shelf': 9, 'light': True}

    with pytest.raises(ParameterError) as raised:
        build(Oven, said)

    for words in ('zzz: unknown', "heat_c = '200': expected float", 'shelf = 9', 'light needs'):
        assert words in str(raised.value)


def test_a_rule_about_a_field_that_is_wrong_itself_is_not_tried():
    with pytest.raises(ParameterError) as raised:
        build(Oven, {'mode': 'grill', 'shelf': 9, 'light': True})

    assert str(raised.value) == 'shelf = 9: expected 0 … 3; light needs trays'


def test_the_table_has_a_row_for_every_parameter():
    rows = table(Oven).splitlines()

    assert rows[2] == '| `heat_c` | `180.0` | 50 … 250 | yes | how hot |'
    assert len(rows) == 2 + 6
