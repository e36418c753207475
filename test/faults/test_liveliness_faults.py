"""The middleware's threads live on while ours hangs; the heartbeat must not."""

import pytest
from support.robots import GIVEN

pytestmark = pytest.mark.ros


@pytest.mark.fault('K2', 'K3')
def test_the_watchdog_itself_must_assert_that_it_lives(ros):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter
    from rclpy.qos import LivelinessPolicy

    from edge_inference_ros.nodes.watchdog import Watchdog

    overrides = [Parameter(name, value=value) for name, value in GIVEN.items()]
    node = ros.add(Watchdog(context=ros.context, parameter_overrides=overrides))
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    (offer,) = node.get_publishers_info_by_topic('freshness')

    assert offer.qos_profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
    assert 0 < offer.qos_profile.liveliness_lease_duration.nanoseconds <= 150_000_000
