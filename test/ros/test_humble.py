"""Nothing is called that Humble's rclpy (3.3) has not, unless an older way stands beside it.

We run on Jazzy; Humble is kept by this reading of our own text. What Jazzy has and Humble has not
is from the two branches of rclpy and of its documentation.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ('edge_inference_ros', 'launch')

NAMES = {
    'event_handler', 'EventsExecutor', 'events_executor', 'MessageInfo', 'ParameterEventHandler',
    'ParameterClient', 'AsyncParameterClient', 'BEST_AVAILABLE', 'best_available',
    'qos_profile_best_available', 'add_pre_set_parameters_callback', 'CallbackType',
    'add_post_set_parameters_callback', 'TimerInfo',
}  # fmt: skip
OPTIONS = {'enable_logger_service', 'content_filter_options', 'rosout_qos_profile'}
TIMER_OPTIONS = {'autostart'}
EVENTS = {'matched', 'incompatible_type'}
"""Of SubscriptionEventCallbacks and PublisherEventCallbacks."""


def newer(node):
    """What in one node of a syntax tree is Jazzy's only."""
    if isinstance(node, ast.Attribute):
        yield from NAMES & {node.attr}
    elif isinstance(node, ast.ImportFrom):
        said = {*(node.module or '').split('.'), *(alias.name for alias in node.names)}
        yield from NAMES & said if (node.module or '').startswith('rclpy') else ()
    elif isinstance(node, ast.Call):
        called = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        given = {word.arg for word in node.keywords}
        yield from OPTIONS & given
        yield from TIMER_OPTIONS & given if called == 'create_timer' else ()
        yield from EVENTS & given if called.endswith('EventCallbacks') else ()
    elif isinstance(node, ast.With):
        for item in node.items:
            source = ast.unparse(item.context_expr)
            yield from ['with ' + source] if source.startswith(('rclpy.init(', 'Node(')) else ()


def has_other_way(node):
    """Whether what stands below ``node`` may be missing."""
    if isinstance(node, ast.Try):
        return any('ImportError' in ast.unparse(h.type) for h in node.handlers if h.type)
    if isinstance(node, ast.With):
        return any('suppress(ImportError' in ast.unparse(i.context_expr) for i in node.items)
    return isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('hasattr', 'getattr')


def faults(node, *, guarded=False):
    guarded = guarded or has_other_way(node)
    if not guarded:
        yield from ((getattr(node, 'lineno', 0), name) for name in newer(node))
    for child in ast.iter_child_nodes(node):
        yield from faults(child, guarded=guarded)


@pytest.mark.parametrize('place', PLACES)
def test_nothing_is_called_that_only_jazzy_has(place):
    found = [
        f'{path.relative_to(ROOT)}:{line}: {name}'
        for path in sorted((ROOT / place).rglob('*.py'))
        for line, name in faults(ast.parse(path.read_text()))
    ]

    assert not found


@pytest.mark.parametrize(
    'text',
    [
        'from rclpy import event_handler',
        'from rclpy.experimental.events_executor import EventsExecutor',
        'node.create_timer(1.0, look, autostart=False)',
        'node.add_post_set_parameters_callback(look)',
        'Node("a", enable_logger_service=True)',
        'SubscriptionEventCallbacks(matched=look)',
        'with rclpy.init():\n  pass',
        'profile = rclpy.qos.ReliabilityPolicy.BEST_AVAILABLE',
    ],
)
def test_the_reading_finds_what_it_looks_for(text):
    assert list(faults(ast.parse(text)))


def test_an_older_way_beside_it_is_enough():
    text = 'try:\n  from rclpy import event_handler\nexcept ImportError:\n  pass\n'

    assert not list(faults(ast.parse(text)))
