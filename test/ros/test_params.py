"""A node starts with whatever it is given, and says all that is wrong with it."""

from dataclasses import dataclass

import pytest

from edge_inference_ros.core.params import param
from edge_inference_ros.errors import ParameterError

pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Range:
    low: float = param(1.0, 'least', low=0.0, high=10.0, live=True)
    high: float = param(2.0, 'greatest', low=0.0, high=10.0, live=True)
    word: str = param('a', 'said', choices=('a', 'b'))
    offsets_s: tuple[float, ...] = param((), 'of each', low=-1.0, high=1.0)

    def faults(self):
        return [] if self.low <= self.high else [f'low = {self.low} must be <= high = {self.high}']


def started(ros, **said):
    from rclpy.parameter import Parameter

    from edge_inference_ros.ros.params import Parameters

    overrides = [Parameter(name, value=value) for name, value in said.items()]
    node = ros.node('probe', parameter_overrides=overrides)
    return node, Parameters(node, Range, locked=lambda: False)


def given(node, **said):
    from rclpy.parameter import Parameter

    return node.set_parameters([Parameter(name, value=value) for name, value in said.items()])


def test_every_kind_of_fault_is_named_at_once(ros):
    _, parameters = started(ros, low=5.0, word='c', lwo=1.0, offsets_s=[2.0])

    with pytest.raises(ParameterError) as raised:
        parameters.read()

    for words in ('low = 5.0 must be <= high', 'word', 'lwo: unknown', 'offsets_s'):
        assert words in str(raised.value)


def test_a_rule_about_a_wrong_field_waits_until_that_is_right(ros):
    node, parameters = started(ros, low=5.0, high=99.0)
    with pytest.raises(ParameterError) as raised:
        parameters.read()
    assert str(raised.value) == 'high = 99.0: expected 0 … 10'

    assert given(node, high=6.0)[0].successful

    assert parameters.read() == Range(low=5.0, high=6.0)


def test_what_was_said_at_the_start_is_kept_while_the_rest_is_corrected(ros):
    node, parameters = started(ros, low=5.0, word='b')

    assert given(node, high=7.0)[0].successful

    assert parameters.read() == Range(low=5.0, high=7.0, word='b')


def test_a_list_says_which_range_its_entries_have(ros):
    node, _ = started(ros)

    said = node.describe_parameter('offsets_s').additional_constraints

    assert said == 'each entry -1 … 1'


def test_a_value_that_stays_as_it_is_may_be_set_while_configured(ros):
    from rclpy.parameter import Parameter

    from edge_inference_ros.ros.params import Parameters

    node = ros.node('probe')
    Parameters(node, Range, locked=lambda: True)
    dumped = [node.get_parameter(name) for name in ('low', 'high', 'word', 'offsets_s')]

    assert all(answer.successful for answer in node.set_parameters(dumped))
    assert node.set_parameters_atomically(dumped).successful
    answer = node.set_parameters_atomically([*dumped[:2], Parameter('word', value='b')])
    assert 'word cannot change while configured' in answer.reason
    assert node.get_parameter('word').value == 'a'


def test_parameters_of_other_nodes_are_no_fault_and_a_typo_is(ros):
    _, parameters = started(ros, robot_description='<robot/>', **{'joints.left': 3})
    assert parameters.read() == Range()

    _, parameters = started(ros, hihg=3.0)
    with pytest.raises(ParameterError, match='did you mean high'):
        parameters.read()
