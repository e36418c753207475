"""A watchdog on a real graph, with its neighbours, and clocks that only the test advances."""

from __future__ import annotations

from support.robots import GIVEN

S = 10**9
TURNS = 40


class Clock:
    """Both clocks of a watchdog; only the test advances them, so that no load can age anything."""

    def __init__(self):
        self.ros_ns, self.mono_ns = 1_700_000_000 * S, 1000 * S

    def __call__(self):
        from edge_inference_ros.guard.timeline import Instant

        return Instant(self.ros_ns, self.mono_ns)

    def advance(self, s):
        """Let time pass, on both clocks."""
        self.ros_ns += int(s * S)
        self.mono_ns += int(s * S)

    def set_wall(self, s):
        """Somebody sets the wall clock ahead, or back."""
        self.ros_ns += int(s * S)


class _Later:
    """Words that are found when they are needed."""

    def __init__(self, words):
        self._words = words

    def __str__(self):
        return self._words()


class Rig:
    """One watchdog with its neighbours.

    Heartbeats come at every tick of whose clock has moved by a millisecond.

    Attributes:
        clock: the watchdog's; None in simulated time, which /clock tells.
        heard: ('limit', m/s) and ('lock', bool) in the order in which they came.
    """

    def __init__(self, ros, **params):
        from diagnostic_msgs.msg import DiagnosticArray
        from nav2_msgs.msg import SpeedLimit
        from nav_msgs.msg import Odometry
        from rclpy.parameter import Parameter
        from std_msgs.msg import Bool
        from vision_msgs.msg import Detection2DArray

        from edge_inference_ros.nodes.watchdog import Watchdog

        self.ros, self.clock = ros, None if params.get('use_sim_time') else Clock()
        params = {**GIVEN, 'heartbeat_s': 0.001, 'diagnostics_period_s': 0.1, **params}
        overrides = [Parameter(name, value=value) for name, value in params.items()]
        self.node = ros.add(
            Watchdog(now=self.clock, context=ros.context, parameter_overrides=overrides)
        )
        self.fresh = ros.collect(Detection2DArray, 'fresh/detections', raw=True)
        self.beats = ros.collect(DiagnosticArray, 'freshness')
        self.diagnostics = ros.collect(DiagnosticArray, '/diagnostics')
        self.heard, self.limits = [], []
        self._x_m, self._odometry_ns = 0.0, 0
        ros.helper.create_subscription(SpeedLimit, 'speed_limit', self._limited, 10)
        ros.helper.create_subscription(Bool, 'lock', self._locked, 10)
        self.detector = ros.publisher(Detection2DArray, 'detections')
        self.odometer = ros.publisher(Odometry, 'odom')

    def _limited(self, msg):
        self.limits.append(msg)
        self.heard.append(('limit', msg.speed_limit))

    def _locked(self, msg):
        self.heard.append(('lock', msg.data))

    def start(self):
        self.configure().activate()
        return self

    def configure(self):
        from rclpy.lifecycle import TransitionCallbackReturn

        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        return self

    def activate(self):
        from rclpy.lifecycle import TransitionCallbackReturn

        beats = len(self.beats)
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.ros.until(self.detector.get_subscription_count, what='the detector to be heard')
        self.ros.until(self.odometer.get_subscription_count, what='the odometer to be heard')
        for topic in ('fresh/detections', 'speed_limit', 'lock', 'freshness', '/diagnostics'):
            self.ros.until(lambda topic=topic: self.node.count_subscribers(topic), what='ears')
        self.until(lambda: len(self.beats) > beats, what='a heartbeat')
        return self

    def until(self, condition, *, what):
        """Spin until ``condition`` holds; the clock moves on by a millisecond a heartbeat."""
        beats = len(self.beats)

        def holds():
            nonlocal beats
            if condition():
                return True
            if len(self.beats) > beats:
                beats = len(self.beats)
                self.pass_(0.001)
            return False

        self.pass_(0.001)
        self.ros.until(holds, what=_Later(lambda: f'{what}; last heard: {self.said()}'))

    def taken(self, publisher):
        """Until what was published has been taken and judged; the clock stands still meanwhile.

        What a reliable reader has acknowledged lies in its history, and the executor takes one
        thing that is ready at each turn.
        """
        from rclpy.duration import Duration

        assert publisher.wait_for_all_acked(Duration(seconds=30))
        for _ in range(TURNS):
            self.ros.executor.spin_once(timeout_sec=0.0)

    def said(self):
        """The latest heartbeat, as a test that fails should show it."""
        rows = self.beats[-1].status if self.beats else ()
        return {
            row.name: (row.message, {item.key: item.value for item in row.values}) for row in rows
        }

    def pass_(self, s):
        """Let time pass; in simulated time that is the test's own business."""
        if self.clock is not None:
            self.clock.advance(s)

    def now_ns(self):
        if self.clock is not None:
            return self.clock().ros_ns
        return self.node.get_clock().now().nanoseconds

    def drive(self, v_mps, *, since_s=1.0, child='base_link', frame='odom', **options):
        """The odometry of the last second at a constant speed, heard."""
        start_ns = self.now_ns() - int(since_s * S)
        for n in range(11):
            stamp_ns = start_ns + n * int(since_s * S / 10)
            self.odometry(stamp_ns, v_mps, child=child, frame=frame, **options)
        self.taken(self.odometer)
        self.next_beats(1)

    def odometry(
        self,
        stamp_ns,
        v_mps,
        *,
        child='base_link',
        frame='odom',
        w_radps=0.0,
        quaternion=(0.0, 0.0, 0.0, 1.0),
        variance=0.0,
    ):
        """One sample, heard; its pose lies where the speed has taken it."""
        from nav_msgs.msg import Odometry

        msg = Odometry(child_frame_id=child)
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, S)
        msg.header.frame_id = frame
        if stamp_ns > self._odometry_ns:
            span_ns = stamp_ns - self._odometry_ns if self._odometry_ns else 0
            self._x_m, self._odometry_ns = self._x_m + v_mps * span_ns / S, stamp_ns
        msg.pose.pose.position.x = self._x_m
        turned = msg.pose.pose.orientation
        turned.x, turned.y, turned.z, turned.w = quaternion
        msg.twist.covariance[0] = variance
        msg.twist.twist.linear.x = v_mps
        msg.twist.twist.angular.z = w_radps
        self.odometer.publish(msg)

    def next_beats(self, count=2):
        """Let the watchdog tick and be heard, a millisecond apart."""
        for _ in range(count):
            seen = len(self.beats)
            self.until(lambda seen=seen: len(self.beats) > seen, what='a heartbeat')

    def detection(self, *, age_s=0.0, stamp_ns=None, frame_id='camera'):
        """The bytes of one detection array, and its stamp."""
        from rclpy.serialization import serialize_message
        from vision_msgs.msg import Detection2DArray

        stamp_ns = self.now_ns() - int(age_s * S) if stamp_ns is None else stamp_ns
        msg = Detection2DArray()
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, S)
        msg.header.frame_id = frame_id
        return bytes(serialize_message(msg)), stamp_ns

    def detect(self, **detection):
        """One detection array, judged; its bytes and stamp."""
        data, stamp_ns = self.detection(**detection)
        self.detector.publish(data)
        self.taken(self.detector)
        self.next_beats(1)
        return data, stamp_ns

    def until_valid(self, *, age_s=0.0, v_mps=0.0):
        """Detect until the watchdog trusts its source."""
        for _ in range(40):
            if self.row().message == 'VALID':
                return self
            self.drive(v_mps)
            self.detect(age_s=age_s)
        raise AssertionError(f'not VALID: {self.row()}')

    def row(self, name='detections'):
        return next(status for status in self.beats[-1].status if status.name == name)

    def source(self, name='detections'):
        return {item.key: item.value for item in self.row(name).values}

    def summary(self):
        return self.source('perception')

    def until_verdict(self, verdict):
        self.until(lambda: verdict in self.source(), what=f'{verdict} in the heartbeat')
        return self.source()

    def report(self, ending):
        """Of the latest report the rows whose name ends so, by name: level and message."""
        rows = self.diagnostics[-1].status if self.diagnostics else ()
        return {row.name: (row.level[0], row.message) for row in rows if row.name.endswith(ending)}

    @property
    def locked(self):
        return [value for what, value in self.heard if what == 'lock'][-1]

    @property
    def limit(self):
        return self.limits[-1].speed_limit if self.limits else None
