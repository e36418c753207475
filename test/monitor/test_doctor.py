"""Every fault the doctor knows is provoked here, and seen to be cured."""

import io
import itertools
import json
import os
import struct
import sys
from pathlib import Path

import pytest
import yaml

from edge_inference_ros.core import transport
from edge_inference_ros.core.types import Level
from edge_inference_ros.errors import (
    BackendUnavailable,
    ConfigError,
    EngineMissing,
    EngineStale,
    SpecMismatch,
)
from edge_inference_ros.machine.quota import quota
from edge_inference_ros.monitor import doctor, machine_checks, software_checks
from edge_inference_ros.monitor.finding import Finding, Machine, Ran

MIB = 1 << 20


def machine(root=Path('/'), environ=None, **answers):
    """A machine whose commands answer as said, by a word that occurs in them."""

    def run(command):
        text = ' '.join(command)
        for word, answer in answers.items():
            if word in text:
                return answer
        return Ran(None, '')

    return Machine(root, environ or {}, run)


def found(check, *arguments):
    return {finding.check: finding for finding in check(*arguments)}


def put(root, path, text):
    file = root / path.lstrip('/')
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_ros_that_is_not_there_is_named_and_cured_by_sourcing():
    broken = machine(rclpy=Ran(1, 'ModuleNotFoundError'))
    sourced = machine(environ={'ROS_DISTRO': 'jazzy'})

    assert found(machine_checks.distribution, broken)['ros'].level is Level.ERROR
    assert found(machine_checks.distribution, sourced)['ros'].level is Level.OK


def test_a_distribution_nobody_tried_is_a_warning():
    assert (
        found(machine_checks.distribution, machine(environ={'ROS_DISTRO': 'foxy'}))['ros'].level
        is Level.WARN
    )


def test_another_middleware_does_not_read_our_profile():
    said = machine(environ={'ROS_DISTRO': 'jazzy', 'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'})

    assert 'cyclonedds' in found(machine_checks.distribution, said)['middleware'].text


def test_a_small_shared_memory_is_an_error_with_dockers_option():
    need = 2 * transport.need_bytes(transport.profile())

    small = machine_checks.judge_shared_memory(64 * MIB, need, transport.profile())
    cured = machine_checks.judge_shared_memory(need, need, transport.profile())

    assert need > 64 * MIB
    assert small.level is Level.ERROR
    assert '--shm-size' in small.remedy
    assert cured.level is Level.OK


def test_no_shared_memory_at_all_is_an_error(tmp_path):
    assert found(machine_checks.shared_memory, machine(tmp_path))['shared memory'].level == 2


def test_a_profile_that_is_not_there_is_named():
    said = machine(environ={transport.TRANSPORT: 'shn'})

    with pytest.raises(ConfigError, match='shn'):
        machine_checks.profile_in_use(said)
    assert 'shn' in found(machine_checks.shared_memory, said)['shared memory'].text


def test_what_the_user_chose_is_what_counts(tmp_path):
    mine = tmp_path / 'mine.xml'
    mine.write_text('<profiles><segment_size> 1048576 </segment_size></profiles>')
    said = machine(environ={transport.PROFILE_VARIABLES[0]: str(mine)})

    assert transport.segment_bytes(machine_checks.profile_in_use(said)) == MIB


@pytest.mark.parametrize(
    ('files', 'cores'),
    [
        ({'/sys/fs/cgroup/cpu.max': '50000 100000'}, 0.5),
        ({'/sys/fs/cgroup/cpu.max': 'max 100000'}, None),
        (
            {
                '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '150000',
                '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
            },
            1.5,
        ),
        ({'/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1'}, None),
        ({}, None),
    ],
)
def test_a_quota_is_read_by_both_kinds_of_cgroups(tmp_path, files, cores):
    for path, text in files.items():
        put(tmp_path, path, text)

    assert quota(tmp_path / 'sys/fs/cgroup', tmp_path / 'proc/self/cgroup') == cores


def test_a_quota_below_the_cores_is_a_warning(tmp_path):
    put(tmp_path, '/sys/fs/cgroup/cpu.max', '10000 100000')

    finding = found(machine_checks.processor, machine(tmp_path))['processor']

    assert finding.level is Level.WARN
    assert '--cpus' in finding.remedy


@pytest.mark.parametrize(
    ('governor', 'level'), [('schedutil', Level.WARN), ('performance', Level.OK)]
)
def test_a_governor_that_waits_for_work_is_named(tmp_path, governor, level):
    put(tmp_path, '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', governor)

    assert found(machine_checks.processor, machine(tmp_path))['governor'].level is level


def test_a_clock_nobody_disciplines_is_a_warning_and_ptp_is_mentioned():
    free = machine_checks.KernelClock(synchronised=False, most_error_s=16.0)
    held = machine_checks.KernelClock(synchronised=True, most_error_s=0.002)

    assert machine_checks.judge_clock(free, hardware=False).level is Level.WARN
    assert 'ptp4l' in machine_checks.judge_clock(free, hardware=True).remedy
    assert machine_checks.judge_clock(held, hardware=False).level is Level.OK
    assert machine_checks.judge_clock(None, hardware=False).level is Level.WARN


def test_this_kernel_answers_about_its_clock():
    clock = machine_checks.kernel_clock()

    assert clock is None or clock.most_error_s >= 0


@pytest.mark.parametrize(
    ('text', 'level'),
    [('NV Power Mode: 15W\n2', Level.WARN), ('NV Power Mode: MAXN_SUPER\n0', Level.OK)],
)
def test_a_power_mode_that_limits_is_named(text, level):
    (finding,) = machine_checks.power(machine(nvpmodel=Ran(0, text)))

    assert finding.level is level


@pytest.mark.parametrize(
    'text',
    [
        'A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6',
        'ImportError: numpy.core.multiarray failed to import',
    ],
)
def test_two_numpys_are_recognised_even_when_the_import_succeeds(text):
    broken = machine(numpy=Ran(0, '2.2.6'), cv2=Ran(0, text))

    finding = found(software_checks.imports, broken)['cv2']

    assert finding.level is Level.ERROR
    assert 'numpy<2' in finding.remedy


def test_a_remedy_can_be_pasted_as_it_is():
    absent = Ran(1, 'ModuleNotFoundError')
    for environ, word in (({}, 'ros-jazzy-'), ({'ROS_DISTRO': 'humble'}, 'ros-humble-')):
        finding = found(software_checks.imports, machine(environ=environ, cv_bridge=absent))

        assert f'sudo apt-get install {word}cv-bridge' in finding['cv_bridge'].remedy


def test_a_library_one_can_live_without_is_a_warning():
    finding = found(software_checks.imports, machine(numpy=Ran(0, '1'), cv2=Ran(0, '1')))

    assert finding['onnxruntime'].level is Level.WARN
    assert finding['numpy'].level is Level.OK


def test_no_driver_is_no_fault_and_a_gpu_without_tensorrt_is_one():
    assert [f.level for f in software_checks.gpu(machine())] == [Level.OK]

    half = found(software_checks.gpu, machine(libcuda=Ran(0, ''), tensorrt=Ran(1, 'no module')))

    assert half['tensorrt'].level is Level.ERROR
    assert half['cuda'].level is Level.ERROR


def test_everything_a_gpu_needs_is_seen():
    said = machine(libcuda=Ran(0, ''), tensorrt=Ran(0, '10.3'), pycuda=Ran(0, ''))

    assert {f.level for f in software_checks.gpu(said)} == {Level.OK}


def test_an_altered_model_is_an_error(tmp_path):
    from support.models import scripted_model

    folder = scripted_model(tmp_path / 'scripted')
    (whole,) = software_checks.check_model(folder)
    file = next(path for path in folder.iterdir() if path.suffix != '.yaml')
    file.write_bytes(b'altered')

    (broken,) = software_checks.check_model(folder)

    assert whole.level is Level.OK
    assert broken.level is Level.ERROR


def test_a_model_whose_engine_is_not_here_is_a_warning_and_one_that_does_not_open_an_error(
    tmp_path, monkeypatch
):
    from support.models import scripted_model

    folder = scripted_model(tmp_path / 'scripted')
    path = folder / 'manifest.yaml'
    said = yaml.safe_load(path.read_text())
    said['files'][0]['backends'] = ['trt']
    path.write_text(yaml.safe_dump(said))
    answers = {
        EngineMissing('build it'): Level.WARN,
        EngineStale('of another device'): Level.WARN,
        BackendUnavailable('no TensorRT'): Level.OK,
        SpecMismatch('other tensors'): Level.ERROR,
        None: Level.OK,
    }
    for error, level in answers.items():

        def opened(*_, error=error, **__):
            if error is not None:
                raise error

        monkeypatch.setattr(software_checks, 'open_pipeline', opened)
        (finding,) = software_checks.check_model(folder)

        assert finding.level is level, finding


def test_a_malloc_that_cannot_be_told_is_a_warning(monkeypatch):
    for can, level in ((True, Level.OK), (False, Level.WARN)):
        monkeypatch.setattr(machine_checks.process, 'keep_big_buffers', lambda can=can: can)

        assert found(machine_checks.allocator, machine())['malloc'].level is level


@pytest.mark.parametrize(
    ('answer', 'level'),
    [
        (Ran(None, ''), Level.OK),
        (Ran(0, 'NV Power Mode: MAXN_SUPER\n2\n'), Level.OK),
        (Ran(0, 'NV Power Mode: 15W\n0\n'), Level.WARN),
    ],
)
def test_a_power_mode_that_limits_is_a_warning(answer, level):
    assert found(machine_checks.power, machine(nvpmodel=answer))['power'].level is level


def test_shared_memory_of_the_dead_is_a_warning(tmp_path, monkeypatch):
    room = tmp_path / 'dev' / 'shm'
    room.mkdir(parents=True)
    (room / 'left').write_bytes(bytes(2 * MIB))
    monkeypatch.setattr(machine_checks.segments, 'dead', lambda _: iter([(room / 'left',)]))

    findings = list(machine_checks.shared_memory(machine(tmp_path)))

    assert [f.level for f in findings if '2 MiB' in f.text and 'gone' in f.text] == [Level.WARN]


@pytest.mark.ros
def test_a_stamp_that_cannot_be_read_is_an_error():
    from edge_inference_ros.monitor import graph_checks

    assert graph_checks.judge_stamp('/x', b'\0\1', 0, 0).level is Level.ERROR


def test_a_check_that_fails_does_not_hide_the_others():
    def broken():
        yield Finding('first', Level.OK, '')
        raise ValueError('odd')

    first, second = doctor._guarded('broken', broken())

    assert (first.check, second.check, second.level) == ('first', 'broken', Level.WARN)


def test_findings_are_lines_for_people_and_objects_for_scripts():
    finding = Finding('shm', Level.ERROR, 'small', 'grow it', 'df')
    lines, record = io.StringIO(), io.StringIO()

    doctor._as_lines(finding, lines)
    doctor._as_json(finding, record)

    assert 'grow it' in lines.getvalue()
    assert json.loads(record.getvalue())['level'] == 'ERROR'


def test_an_error_is_in_the_exit_status(monkeypatch, capsys):
    for level, status in ((Level.ERROR, 1), (Level.WARN, 0), (Level.OK, 0)):
        monkeypatch.setattr(doctor, 'examine', lambda _, level=level: [Finding('x', level, '')])

        assert doctor.run(params=doctor.Params()) == status


class OnGraph:
    """A node that looks, and others to look at."""

    def __init__(self, ros):
        self.ros = ros
        self.node = ros.node('edge_inference_doctor')
        ros.executor.remove_node(self.node)

    def findings(self, check, **options):
        return list(check(self.node, **options))

    def until(self, check, level, words='', **options):
        """The findings, once one of that level and words is among them."""
        held = []

        def seen():
            held[:] = self.findings(check, **options)
            return any(f.level is level and words in f.text for f in held)

        self.ros.until(seen, what=f'{check.__name__} {level.name} {words}')
        return held


@pytest.fixture
def graph(ros):
    return OnGraph(ros)


@pytest.mark.ros
def test_two_types_on_one_topic_are_named_with_their_nodes(graph, ros):
    from geometry_msgs.msg import TwistStamped

    from edge_inference_ros.monitor import graph_checks

    assert graph.findings(graph_checks.types)[0].level is Level.OK
    ros.node('base').create_subscription(TwistStamped, 'cmd_vel', lambda _: None, 1)
    teleop = ros.child(
        '-c',
        'import rclpy; from geometry_msgs.msg import Twist; rclpy.init();'
        'node = rclpy.create_node("teleop"); node.create_publisher(Twist, "cmd_vel", 1);'
        'rclpy.spin(node)',
    )

    graph.until(graph_checks.types, Level.ERROR, '/teleop')  # a name may be discovered late

    teleop.end()
    graph.until(graph_checks.types, Level.OK)


@pytest.mark.ros
def test_qos_that_cannot_meet_is_named_with_the_remedy(graph, ros):
    from std_msgs.msg import Bool

    from edge_inference_ros.monitor import graph_checks
    from edge_inference_ros.ros import qos

    ros.node('writer').create_publisher(Bool, 'word', qos.sensor())
    ros.node('reader').create_subscription(Bool, 'word', lambda _: None, qos.output())

    findings = graph.until(graph_checks.profiles, Level.ERROR, '/word')

    finding = next(f for f in findings if '/word' in f.text)
    assert 'reliability' in finding.text
    assert 'best effort' in finding.remedy


@pytest.mark.ros
def test_two_nodes_of_one_name_are_counted(graph, ros):
    from edge_inference_ros.monitor import graph_checks

    ros.node('twin')
    ros.node('twin')

    graph.until(graph_checks.names, Level.ERROR, '2 nodes are called /twin')


@pytest.mark.ros
def test_a_lock_that_nobody_reads_is_an_error_until_somebody_does(graph, ros):
    from std_msgs.msg import Bool

    from edge_inference_ros.monitor import graph_checks

    ros.node('guard').create_publisher(Bool, 'front/lock', 1)
    graph.until(graph_checks.stops, Level.ERROR, 'nobody reads /front/lock')
    ros.node('mux').create_subscription(Bool, 'front/lock', lambda _: None, 1)

    graph.until(graph_checks.stops, Level.OK, '/front/lock is read')


NOW_NS, UP_NS = 1_764_000_000 * 10**9, 5_000 * 10**9


def stamped(taken_ns):
    """The first bytes of a message with a header."""
    return struct.pack('<4BiII', 0, 1, 0, 0, *divmod(taken_ns, 10**9), 1) + b'\0'


@pytest.mark.ros
@pytest.mark.parametrize(
    'taken_ns',
    [
        NOW_NS - 10**7,
        NOW_NS + 2 * 10**7,  # ahead by less than a frame
        NOW_NS + 5 * 10**9,
        UP_NS - 10**8,
        77 * 10**9,
        NOW_NS - 3_600 * 10**9,
        NOW_NS + 37 * 10**9,
        NOW_NS - 3 * 86_400 * 10**9,
    ],
)
def test_the_doctor_says_of_a_clock_what_the_nodes_say(ros_env, taken_ns):
    from edge_inference_ros.monitor.graph_checks import judge_stamp
    from edge_inference_ros.ros.clock_fault import clock_fault

    finding = judge_stamp('/odom', stamped(taken_ns), NOW_NS, UP_NS)

    if fault := clock_fault(NOW_NS - taken_ns, taken_ns, UP_NS):
        said = (Level.ERROR, f'/odom: {fault.words}', fault.remedy)
        assert (finding.level, finding.text, finding.remedy) == said
    else:
        assert finding.level == Level.OK


@pytest.mark.ros
@pytest.mark.parametrize(
    ('age_s', 'level', 'words'),
    [
        (0.0, Level.OK, 'old on arrival'),
        (3600.0, Level.ERROR, 'in the past'),
        (-5.0, Level.ERROR, 'in the future'),
        (None, Level.ERROR, 'zero'),
    ],
)
def test_stamps_of_another_clock_are_told_apart(graph, ros, age_s, level, words):
    from nav_msgs.msg import Odometry

    from edge_inference_ros.monitor import graph_checks

    odometer = ros.node('base').create_publisher(Odometry, 'odom', 1)

    def send(_seconds=0.0):
        msg = Odometry()
        if age_s is not None:
            now_ns = ros.nodes[-1].get_clock().now().nanoseconds - int(age_s * 1e9)
            msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(now_ns, 10**9)
        odometer.publish(msg)

    findings = graph.until(graph_checks.stamps, level, words, pause=send)

    assert all('/odom' in finding.text for finding in findings)


@pytest.mark.ros
def test_a_stamp_between_two_ticks_of_a_simulation_is_not_in_the_future(graph, ros):
    from nav_msgs.msg import Odometry
    from rclpy.time import Time
    from rosgraph_msgs.msg import Clock

    from edge_inference_ros.monitor import graph_checks

    base = ros.node('base')
    clock = base.create_publisher(Clock, '/clock', 1)
    odometer = base.create_publisher(Odometry, 'odom', 1)
    ticks = itertools.count(1)

    def send(_seconds=0.0):
        tick_ms = 10 * next(ticks)
        clock.publish(Clock(clock=Time(nanoseconds=tick_ms * 10**6).to_msg()))
        msg = Odometry()
        msg.header.stamp = Time(nanoseconds=(tick_ms + 4) * 10**6).to_msg()
        odometer.publish(msg)

    findings = graph.until(graph_checks.stamps, Level.OK, 'old on arrival', pause=send)

    assert [finding.level for finding in findings] == [Level.OK]


@pytest.mark.ros
def test_nodes_that_disagree_about_the_clock_are_named(graph, ros):
    from rclpy.parameter import Parameter

    from edge_inference_ros.monitor import graph_checks

    ros.node('real')
    ros.node('simulated', parameter_overrides=[Parameter('use_sim_time', value=True)])
    said = {'/real': False, '/simulated': True}

    with pytest.MonkeyPatch.context() as patch:
        # The services of nodes of this process need this process to spin; the answers are these.
        patch.setattr(graph_checks, '_parameters', lambda *_: said.items())
        (finding,) = graph.findings(graph_checks.sim_time)

    assert finding.level is Level.ERROR
    assert '/simulated' in finding.text
    assert '/real' in finding.text


@pytest.mark.ros
def test_a_node_in_another_process_is_asked_for_its_clock(graph, ros):
    from edge_inference_ros.monitor import graph_checks

    ros.child(
        '-c',
        'import rclpy; rclpy.init(args=["--ros-args", "-p", "use_sim_time:=true"]);'
        'rclpy.spin(rclpy.create_node("simulated"))',
    )

    graph.until(graph_checks.sim_time, Level.ERROR, 'nobody publishes /clock', limit_s=10.0)


@pytest.mark.ros
def test_real_images_of_another_process_arrive(ros_env):
    import subprocess

    code = (
        'from edge_inference_ros.monitor import probe\n'
        'from edge_inference_ros.ros.tool import open_node\n'
        'probe.SIZES_PX = {"VGA": (640, 480)}\n'
        'with open_node("edge_inference_doctor") as node:\n'
        '    for finding in probe.transport(node): print(finding.level.name, finding.text)\n'
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, '-c', code], env=ros_env, capture_output=True, text=True, check=False
    )

    assert 'images arrived from another process' in done.stdout, done.stderr


def test_an_image_that_is_lost_is_an_error_with_the_remedy():
    from edge_inference_ros.monitor import probe

    assert probe._judge('VGA', 2).level is Level.ERROR
    assert '--shm-size' in probe._judge('VGA', 2).remedy
    assert probe._judge('VGA', probe.COUNT).level is Level.OK
    assert probe._judge('VGA', None).level is Level.ERROR


def test_the_environment_is_that_of_the_process():
    assert Machine().environ is os.environ


@pytest.mark.parametrize(('grows_for_s', 'waits_s'), [(0.0, 3.0), (2.0, 5.0), (99.0, 10.0)])
def test_it_waits_until_nobody_new_is_discovered(grows_for_s, waits_s):
    graph_checks = pytest.importorskip('edge_inference_ros.monitor.graph_checks')
    now = [0.0]

    class Young:
        def get_node_names_and_namespaces(self):
            return [('node', '/')] * int(min(now[0], grows_for_s) / 0.05)

        def get_topic_names_and_types(self):
            return []

    def pause(s):
        now[0] += s

    graph_checks.wait_for_discovery(Young(), clock=lambda: now[0], pause=pause)

    assert now[0] == pytest.approx(waits_s, abs=0.11)


def test_a_model_that_was_added_is_checked_too(tmp_path, monkeypatch):
    from support.models import scripted_model

    monkeypatch.setenv('EDGE_INFERENCE_MODELS', str(tmp_path))
    (scripted_model(tmp_path / 'mine') / 'script.json').write_text('{}')  # not what was promised

    seen = found(software_checks.models, machine(tmp_path))

    assert seen['model mine'].level == 2
    assert seen['model mine'].see == 'edge_inference models check --model mine'
    assert 'model street_tiny' in seen
