"""A parameter's description is read alone: by `ros2 param describe`, and in `--help`."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'edge_inference_ros'

SYMBOL = r'(\[\w+\] )?'  # of the formulas in docs/safety.md, such as [L]
NEEDS_A_NEIGHBOUR = re.compile(
    SYMBOL + r'(of|and|or|the same|the other|another one|where|likewise|also|ditto|as above|that|'
    r'which|its?|their|them|this|these|between|to|by|with|on|in|at|until|added|there|only)\b'
)
"""How a description begins that only goes on with the parameter's name, or the one before it."""

REFERS_ELSEWHERE = re.compile(r'\b(chooses|choose|draws|draw) (them|it)\b|\bas above\b|\bditto\b')


def descriptions():
    """Place, name and description of every parameter that a file of the package declares."""
    for path in sorted(PACKAGE.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            call = getattr(node, 'value', None)
            if not isinstance(node, ast.AnnAssign) or not isinstance(call, ast.Call):
                continue
            if getattr(call.func, 'id', '') == 'param':
                named = [k.value for k in call.keywords if k.arg == 'doc']
                told = ast.literal_eval([*call.args[1:], *named][0])
                yield f'{path.relative_to(PACKAGE)}:{node.target.id}', node.target.id, told


ALL = list(descriptions())


def test_all_are_found():
    assert len(ALL) > 300


@pytest.mark.parametrize(('where', 'name', 'text'), ALL, ids=[where for where, *_ in ALL])
def test_a_description_is_understood_alone(where, name, text):
    assert not NEEDS_A_NEIGHBOUR.match(text), f'{where} begins as if somebody had read {name}'
    assert not REFERS_ELSEWHERE.search(text), f'{where} speaks of something that is not shown'


@pytest.mark.parametrize(('where', 'name', 'text'), ALL, ids=[where for where, *_ in ALL])
def test_a_description_says_more_than_one_word(where, name, text):
    assert len(text.split()) > 1, f'{where}: {text!r} says no more than {name}'


@pytest.mark.parametrize(
    'text',
    [
        'of the reference; empty: the first file',
        '[L] the same when moving sideways',
        'and by no more than this',
        'where',
        'likewise',
        'that softens the scores',
        'between two reports',
        'its topic, relative to its namespace',
    ],
)
def test_what_needs_its_neighbour_is_seen(text):
    assert NEEDS_A_NEIGHBOUR.match(text)
