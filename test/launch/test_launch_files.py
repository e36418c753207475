"""What each launch file starts, with which parameters, topics and environment."""

import ast

import pytest
import yaml
from support.launching import LAUNCH, ROOT, Genuine

from edge_inference_ros.bringup import arguments
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.params import build, specs
from edge_inference_ros.errors import BAD_CONFIGURATION, ConfigError
from edge_inference_ros.nodes.camera_params import CameraDetectorParams
from edge_inference_ros.nodes.watchdog_params import WatchdogParams
from tools.security import policy
from tools.security.__main__ import SHIPPED

FILES = sorted(LAUNCH.glob('*.launch.py'))
PLATFORMS = sorted((ROOT / 'config/platforms').glob('*.yaml'))
ROBOTS = sorted((ROOT / 'config/robots').glob('*.yaml'))
DETECTOR, WATCHDOG = ROOT / 'config/camera_detector.yaml', ROOT / 'config/watchdog.yaml'
OFFERED = {
    'bringup': arguments.BRINGUP,
    'multi_camera': arguments.MULTI_CAMERA,
    'perception': arguments.PERCEPTION,
    'watchdog': arguments.WATCHDOG,
}


def parameters(path):
    content = yaml.safe_load(path.read_text())
    assert list(content) == ['/**'], 'a node may be renamed and put into a namespace'
    return content['/**']['ros__parameters']


@pytest.fixture
def two_cameras(tmp_path):
    path = tmp_path / 'cameras.yaml'
    path.write_text(
        'cameras:\n'
        '  - {namespace: front, image: /front/camera/image_raw}\n'
        '  - {namespace: rear, image: camera/image_raw, model: person_nano, priority: 5,\n'
        '     required: false, stamp_offset_s: 0.005}\n'
        'also:\n'
        '  - {topic: points, type: sensor_msgs/msg/PointCloud2}\n'
    )
    return str(path)


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """An empty keystore."""
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(tmp_path / 'keys'))
    return tmp_path / 'keys'


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(launching, two_cameras):
    """Start a launch file with what must be given; answers the nodes by their full names."""
    must = {'robot': 'indoor_amr', 'cameras': two_cameras}

    def begin(name, **values):
        needed = {a.name for a in OFFERED[name] if a.default is None}
        values = {**{key: must[key] for key in needed}, **values}
        return {node.name: node for node in launching.read(name, **values)}

    return begin


def test_there_is_a_launch_file_for_each_purpose():
    assert [path.name.removesuffix('.launch.py') for path in FILES] == list(OFFERED)


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
def test_a_launch_file_compiles_for_the_oldest_python_we_support(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 10))

    assert any(getattr(node, 'name', '') == 'generate_launch_description' for node in tree.body)


@pytest.mark.parametrize('name', OFFERED)
def test_what_is_listed_is_what_is_read_and_nothing_else(launching, name):
    listed = launching.arguments(name)

    assert listed == {argument.name: argument.default for argument in OFFERED[name]}


@pytest.mark.parametrize('name', OFFERED)
def test_every_argument_says_what_it_is(name):
    for argument in OFFERED[name]:
        assert len(argument.description) > 10, argument.name


def test_descriptions_name_all_there_is():
    for argument, folder, suffix in (
        (arguments.ROBOT, 'robots', '.yaml'),
        (arguments.PLATFORM, 'platforms', '.yaml'),
        (arguments.TRANSPORT, 'transport', '.xml'),
    ):
        for path in (ROOT / 'config' / folder).glob(f'*{suffix}'):
            assert path.stem in argument.description


# ---- which node gets what


def test_bringup_starts_both_nodes_in_one_namespace(start):
    nodes = start('bringup', namespace='front', robot='humanoid')

    assert set(nodes) == {'/front/camera_detector', '/front/watchdog'}
    detector, watchdog = nodes['/front/camera_detector'], nodes['/front/watchdog']
    assert detector.program == 'edge_inference_ros/camera_detector'
    assert watchdog.program == 'edge_inference_ros/watchdog'
    profile = parameters(ROOT / 'config/robots/humanoid.yaml')
    assert watchdog.parameters == {**parameters(WATCHDOG), **profile, 'autostart': True}
    assert detector.parameters == {**parameters(DETECTOR), 'backend': 'ort', 'autostart': True}


@pytest.mark.parametrize('name', ['perception', 'bringup', 'multi_camera'])
def test_later_settings_win_and_empty_ones_leave_it_to_the_files(start, name, tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**: {ros__parameters: {precision: int8, tracker: none}}')
    file = {'perception': 'params_file'}.get(name, 'detector_params_file')

    for said, precision in (({}, 'int8'), ({'precision': 'fp32'}, 'fp32')):
        nodes = start(name, platform='x86_cpu', **{file: str(mine)}, **said)
        for node in (n for n in nodes.values() if n.program.endswith('camera_detector')):
            assert node.parameters['precision'] == precision
            assert node.parameters['tracker'] == 'none'
            assert node.parameters['backend'] == 'ort'


def test_a_file_for_both_comes_before_the_file_of_one(start, tmp_path):
    for name, text in (('all', 'diagnostics_period_s: 5.0'), ('one', 'diagnostics_period_s: 2.0')):
        (tmp_path / f'{name}.yaml').write_text(f'/**: {{ros__parameters: {{{text}}}}}')

    nodes = start(
        'bringup',
        params_file=str(tmp_path / 'all.yaml'),
        watchdog_params_file=str(tmp_path / 'one.yaml'),
    )

    assert nodes['/camera_detector'].parameters['diagnostics_period_s'] == 5.0
    assert nodes['/watchdog'].parameters['diagnostics_period_s'] == 2.0


def test_a_section_for_one_full_name_reaches_that_node_alone(start, tmp_path):
    shared = tmp_path / 'robot.yaml'
    shared.write_text(
        '/front/watchdog: {ros__parameters: {tick_s: 0.01}}\n'
        'front: {camera_detector: {ros__parameters: {hang_s: 9.0}}}\n'
        '/**/watchdog: {ros__parameters: {cpu: 3}}\n'
    )

    nodes = start('bringup', namespace='front', params_file=str(shared))

    watchdog, detector = nodes['/front/watchdog'], nodes['/front/camera_detector']
    assert (watchdog.parameters['tick_s'], watchdog.parameters['cpu']) == (0.01, 3)
    assert detector.parameters['hang_s'] == 9.0
    assert 'tick_s' not in detector.parameters


def test_every_topic_of_the_arguments_reaches_the_nodes_that_read_it(start):
    nodes = start(
        'bringup', image='/cam', odom='/odom', cmd_vel='/cmd', detections='seen', namespace='a'
    )

    assert nodes['/a/camera_detector'].remappings == {
        'image': '/cam',
        'odom': '/odom',
        'detections': 'seen',
    }
    assert nodes['/a/watchdog'].remappings == {
        'detections': 'seen',
        'odom': '/odom',
        'cmd_vel': '/cmd',
    }


@pytest.mark.parametrize('name', OFFERED)
def test_the_environment_holds_the_transport_and_no_security_unless_asked(
    start, name, monkeypatch
):
    monkeypatch.delenv('ROS_SECURITY_ENABLE', raising=False)

    for node in start(name, transport='shm_4k', log_level='debug').values():
        assert node.own('EDGE_INFERENCE_TRANSPORT') == 'shm_4k'
        assert node.own('ROS_SECURITY_ENABLE') is None
        assert node.command[2:4] == ['--log-level', 'debug'] or 'nice' in node.command
        if node.program.endswith('camera_detector'):
            assert node.own('MALLOC_TRIM_THRESHOLD_') == str(512 << 20)


@pytest.mark.parametrize(
    ('name', 'said', 'enclaves'),
    [
        ('perception', {'enclave': '/e/camera_detector'}, {'/e/camera_detector'}),
        ('watchdog', {'enclave': '/e/watchdog'}, {'/e/watchdog'}),
        ('bringup', {'enclave': '/e'}, {'/e/camera_detector', '/e/watchdog'}),
        ('multi_camera', {'enclave': '/e'}, {'/e/camera_detector', '/e/watchdog'}),
        ('bringup', {'enclave': '/e', 'watchdog_enclave': '/o'}, {'/e/camera_detector', '/o'}),
    ],
)
def test_who_names_an_enclave_gets_no_node_without_it(keys, start, name, said, enclaves):
    for enclave in ('e/camera_detector', 'e/watchdog', 'o'):
        (keys / 'enclaves' / enclave).mkdir(parents=True)

    nodes = start(name, **said).values()

    assert {node._after('--enclave')[0] for node in nodes} == enclaves
    for node in nodes:
        assert node.own('ROS_SECURITY_ENABLE') == 'true'
        assert node.own('ROS_SECURITY_STRATEGY') == 'Enforce'


def test_an_enclave_without_keys_is_refused(keys, start, monkeypatch):
    with pytest.raises(ConfigError, match='enclaves/e is not there'):
        start('watchdog', enclave='/e')
    with pytest.raises(ConfigError, match=r'enclaves/e/\w+ is not there'):
        start('bringup', enclave='/e')

    monkeypatch.delenv('ROS_SECURITY_KEYSTORE')
    with pytest.raises(ConfigError, match='needs ROS_SECURITY_KEYSTORE'):
        start('bringup', watchdog_enclave='/e')


def test_the_enclaves_of_the_descriptions_are_the_policys():
    ours = {profile.enclave for profile in policy.read(SHIPPED)}
    words = arguments.ENCLAVES.description.replace(',', ' ').split()

    assert {word for word in words if word.count('/') == 2} <= ours


# ---- several cameras


def test_several_cameras_have_one_watchdog_over_all_of_them(start):
    nodes = start('multi_camera', robot='outdoor_delivery', odom='wheel/odom', namespace='r1')

    front, rear = nodes['/r1/front/camera_detector'], nodes['/r1/rear/camera_detector']
    watchdog = nodes['/r1/watchdog']
    assert len(nodes) == 3
    assert front.remappings['image'] == '/front/camera/image_raw'
    assert rear.remappings['image'] == 'camera/image_raw'
    assert front.remappings['odom'] == rear.remappings['odom'] == '/r1/wheel/odom'
    assert watchdog.remappings == {'odom': 'wheel/odom', 'cmd_vel': 'cmd_vel'}
    assert (front.parameters['model'], rear.parameters['model']) == ('street_tiny', 'person_nano')
    assert front.command[0] != 'nice'
    assert rear.command[:3] == ['nice', '-n', '5']
    assert watchdog.parameters['topics'] == ['front/detections', 'rear/detections', 'points']
    assert watchdog.parameters['types'] == [
        'vision_msgs/msg/Detection2DArray',
        'vision_msgs/msg/Detection2DArray',
        'sensor_msgs/msg/PointCloud2',
    ]
    assert watchdog.parameters['optional'] == ['rear/detections']
    assert watchdog.parameters['stamp_offsets_s'] == [0.0, 0.005, 0.0]
    profile = {k: v for k, v in watchdog.parameters.items() if k != 'use_sim_time'}
    build(WatchdogParams, profile)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('cameras: []', 'cameras: expected at least one'),
        ('cameras: 3', 'cameras = 3: expected a list'),
        ('cameras: [front]', r"cameras\[0\] = 'front': expected a mapping"),
        ('cameras: [{namespace: front}]\nalso: [{topic: a, typ: b}]', 'typ: unknown parameter'),
        ('cameras: [{namespace: /front}]', "'/front': expected a relative name"),
        ('cameras: [{image: a}]', "'': expected a relative name"),
        ('cameras: [{namespace: a}, {namespace: a}]', "'a' is there twice"),
        ('cameras: [{namespace: a, priority: 20}]', 'priority = 20: expected 0 … 19'),
        ('cameras: [{namespace: a, model: stret_tiny}]', 'a: model: .*there are .*street_tiny'),
        (
            'cameras: [{namespace: a, params_file: no.yaml}]',
            r'a: params_file: .*no\.yaml: No such',
        ),
        ('cameras: [{namespace: a, image: "a b"}]', 'a: image: expected the name of a topic'),
        (
            'cameras: [{namespace: a}]\nalso: [{topic: b}]',
            "also: b: type = '': expected a message type",
        ),
        (
            'cameras: [{namespace: a}]\nalso: [{topic: b, type: sensor_msgs/PointCloud2}]',
            "also: b: type = 'sensor_msgs/PointCloud2': expected a message type",
        ),
        (
            'cameras: [{namespace: a}]\nalso: [{topic: a/detections, type: p/msg/T}]',
            "also: topic 'a/detections' is guarded twice",
        ),
        ('camera: []', 'camera: unknown key; there are cameras, also'),
        ('[', 'not YAML'),
    ],
)
def test_a_wrong_file_of_cameras_is_refused_by_entry_and_key(start, tmp_path, text, words):
    path = tmp_path / 'wrong.yaml'
    path.write_text(text)

    with pytest.raises(ConfigError, match=words) as raised:
        start('multi_camera', cameras=str(path))

    assert 'cameras:=' in str(raised.value)
    assert str(path) in str(raised.value)


# ---- what is wrong is refused before anything starts


WRONG = [
    ('robot', 'humanoyd', r'not among the robots that ship; give one of humanoid, indoor_amr'),
    ('robot', 'humanoid.yaml', r'no such file; give one of humanoid'),
    ('robot', '/no/such.yaml', r'/no/such\.yaml: no such file'),
    ('robot', '', 'give one of humanoid'),
    ('platform', 'jetson', r'give one of jetson_orin, jetson_thor, x86_cpu'),
    ('platform', './no.yaml', 'no such file'),
    ('params_file', 'no.yaml', r'no\.yaml: No such file'),
    ('detector_params_file', '/no.yaml', r'/no\.yaml: No such file'),
    ('watchdog_params_file', '~/no_such_file.yaml', r'no_such_file\.yaml: No such file'),
    ('transport', 'smh', 'no such profile'),
    ('log_level', 'loud', 'expected one of debug, info, warn, error, fatal'),
    ('autostart', 'yes please', 'expected true or false'),
    ('rviz', 'yes please', 'expected true or false'),
    ('respawn_delay', 'soon', 'expected seconds'),
    ('respawn_delay', '0', 'expected seconds'),
    ('respawn_delay', 'nan', 'expected seconds'),
    ('namespace', 'front camera', 'expected a namespace'),
    ('image', '', 'expected the name of a topic'),
    ('odom', '2nd/odom', 'expected the name of a topic'),
    ('detections', 'a//b', 'expected the name of a topic'),
    ('cmd_vel', '/', 'expected the name of a topic'),
    ('model', 'street_tny', r'there are person_nano, street_tiny'),
    ('model', './nothing', r'holds no manifest\.yaml'),
    ('backend', 'tensorrt', 'there are null, openvino, ort, trt'),
    ('precision', 'int 8', 'expected a precision'),
    ('enclave', 'edge', 'expected an enclave such as'),
    ('watchdog_enclave', 'edge', 'expected an enclave such as'),
    ('detector_enclave', '/', 'expected an enclave such as'),
    ('cameras', 'no.yaml', r'no\.yaml: No such file'),
]


@pytest.mark.parametrize('wrong', WRONG, ids=lambda row: f'{row[0]}:={row[1]}')
def test_what_cannot_be_honoured_is_refused_naming_what_there_is(
    elsewhere, start, launching, wrong
):
    argument, value, words = wrong
    for name in (name for name, offers in OFFERED.items() if argument in {a.name for a in offers}):
        with pytest.raises(ConfigError, match=words) as raised:
            start(name, **{argument: value})

        assert f'{argument}:={value}: ' in str(raised.value)
        assert not launching.library.started(launching.context)


def test_every_argument_has_a_value_that_is_refused():
    offered = {argument.name for offers in OFFERED.values() for argument in offers}

    assert offered == {argument for argument, *_ in WRONG}


def test_all_faults_are_named_at_once(start):
    with pytest.raises(ConfigError) as raised:
        start('bringup', robot='humanoyd', platform='jetson', log_level='loud')

    for name in ('robot', 'platform', 'log_level'):
        assert f'{name}:=' in str(raised.value)


@pytest.mark.parametrize('name', ['bringup', 'multi_camera', 'watchdog'])
def test_no_robot_is_no_start(launching, two_cameras, name):
    given = {'cameras': two_cameras} if name == 'multi_camera' else {}

    with pytest.raises(RuntimeError, match='robot'):
        launching.read(name, **given)


def test_a_relative_path_means_the_folder_one_stands_in(elsewhere, start):
    mine = yaml.safe_load((ROOT / 'config/robots/humanoid.yaml').read_text())
    mine['/**']['ros__parameters']['b_mps2'] = 0.9
    (elsewhere / 'mine.yaml').write_text(yaml.safe_dump(mine))

    for said in ('mine.yaml', './mine.yaml', str(elsewhere / 'mine.yaml')):
        (node,) = start('watchdog', robot=said).values()
        assert node.parameters['b_mps2'] == 0.9
        assert elsewhere / 'mine.yaml' in node.files


def test_a_misspelt_argument_is_said(start, launching):
    start('bringup', precison='int8', something_of_a_parent='1')

    if hasattr(launching.context, 'said'):
        assert 'did you mean precision?' in ' '.join(launching.context.said)
        assert 'something_of_a_parent' not in ' '.join(launching.context.said)


def test_an_argument_of_another_file_of_ours_is_said(start, launching):
    start('perception', robot='humanoid')

    if hasattr(launching.context, 'said'):
        said = ' '.join(launching.context.said)
        assert 'robot:= is no argument here and has no effect; it is one of bringup' in said


@pytest.mark.parametrize('name', ['perception', 'bringup', 'multi_camera'])
def test_a_precision_that_the_model_has_not_is_refused_naming_those_it_has(start, name, tmp_path):
    with pytest.raises(ConfigError, match=r'precision:=fp17: model person_nano has fp32, int8'):
        start(name, model='person_nano', precision='fp17')

    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**: {ros__parameters: {model: person_nano, precision: fp17}}')
    file = 'params_file' if name == 'perception' else 'detector_params_file'
    if name != 'multi_camera':  # one of whose cameras names its own model
        with pytest.raises(ConfigError, match=r'person_nano has fp32, int8'):
            start(name, **{file: str(mine)})


@pytest.mark.parametrize(
    ('section', 'reaches'),
    [
        ('/front/camera_detector', True),
        ('front: {camera_detector', True),
        ('/**/camera_detector', True),
        ('/*/camera_detector', True),
        ('camera_detector', False),
        ('/rear/camera_detector', False),
        ('/*/*/camera_detector', False),
    ],
)
def test_parameters_of_a_node_in_another_namespace_are_named(
    start, launching, tmp_path, section, reaches
):
    mine = tmp_path / 'mine.yaml'
    mine.write_text(
        f'{section}: {{ros__parameters: {{tracker: none}}}}' + '}' * section.count('{')
    )

    (node,) = start('perception', namespace='front', params_file=str(mine)).values()

    assert (node.parameters['tracker'] == 'none') is reaches
    if hasattr(launching.context, 'said'):
        assert ('do not reach /front/camera_detector' in ' '.join(launching.context.said)) is (
            not reaches
        )


PARAMETER_FILES = [
    ('/**: {ros__parameters: {a: 1}}', True),
    ('ns: {camera_detector: {ros__parameters: {a: 1}}}', True),
    ('/**: {ros__parameters: {a: [], b: [1, 2], c: {d: 1.0}}}', True),
    ('', False),
    ('[]', False),
    ('3', False),
    ('a: 3', False),
    ('a: {b: 3}', False),
    ('{}', False),
    ('/**: {ros__parameters: }', False),
    ('/**: {ros__parameters: 3}', False),
    ('/**: {ros__parameters: {a: }}', False),
    ('/**: {ros__parameters: {a: [1, 2.0]}}', False),
    ("/**: {ros__parameters: {a: [1, 'b']}}", False),
    ('/**: {ros__parameters: {a: [[1]]}}', False),
    ('/**: {ros__parameters: {a: {b: }}}', False),
    ('/**: {ros__parameters: {a: 1}', False),
]


@pytest.mark.parametrize(('text', 'good'), PARAMETER_FILES)
def test_a_file_that_ros_could_not_read_is_refused(start, tmp_path, text, good):
    path = tmp_path / 'params.yaml'
    path.write_text(text)

    if good:
        start('perception', params_file=str(path))
    else:
        with pytest.raises(ConfigError, match=r'params\.yaml'):
            start('perception', params_file=str(path))


@pytest.mark.parametrize(
    ('argument', 'section', 'whose'),
    [
        ('params_file', 'camera_detectr', 'camera_detector or watchdog'),
        ('params_file', '/front/controller_server', 'camera_detector or watchdog'),
        ('detector_params_file', 'watchdog', 'camera_detector'),
        ('watchdog_params_file', '/**/camera_detector', 'watchdog'),
        ('robot', 'camera_detector', 'watchdog'),
        ('platform', '/a/watchdog', 'camera_detector'),
    ],
)
def test_a_file_that_would_reach_none_of_our_nodes_is_refused(
    start, tmp_path, argument, section, whose
):
    path = tmp_path / 'mine.yaml'
    path.write_text(f'{section}: {{ros__parameters: {{hang_s: 9.0}}}}')
    name = section.rpartition('/')[2]

    with pytest.raises(ConfigError, match=f'has parameters of {name} and none of {whose}:'):
        start('bringup', **{argument: str(path)})


@pytest.mark.ros
def test_what_launch_lets_through_ros_takes(ros_env, start, tmp_path):
    import rclpy

    for number, (text, good) in enumerate(PARAMETER_FILES):
        if good:
            path = tmp_path / f'{number}.yaml'
            path.write_text(text)
            (node,) = start(
                'perception', params_file=str(path), log_level='WARN', namespace='a/b', image='~/x'
            ).values()
            context = rclpy.Context()
            rclpy.init(args=node.command, context=context)
            context.shutdown()


@pytest.mark.ros
@pytest.mark.parametrize('name', OFFERED)
def test_the_reader_understands_parameters_as_rclpy_does(ros_env, start, name):
    import rclpy

    for started in start(name, namespace='robot').values():
        context = rclpy.Context()
        rclpy.init(args=started.command, context=context)
        node = rclpy.create_node(
            'any', context=context, automatically_declare_parameters_from_overrides=True
        )
        try:
            assert node.get_fully_qualified_name() == started.name
            for key, value in started.parameters.items():
                said = node.get_parameter(key).value
                assert (list(said) if isinstance(value, list) and value else said) == value or (
                    value == []
                )
        finally:
            node.destroy_node()
            context.shutdown()


# ---- what leaks


def test_what_comes_after_is_told_nothing_that_was_meant_for_us(start, launching):
    for name in OFFERED:
        start(name, namespace='front', precision='int8') if name != 'watchdog' else start(name)

        given = {'robot', 'cameras', 'namespace', 'precision'}
        assert set(launching.configurations) <= given, 'an include leaves what it gave, no more'


# ---- what ends


@pytest.mark.parametrize('name', OFFERED)
def test_a_node_is_started_again_unless_its_configuration_is_wrong(start, launching, name):
    delay = {} if name == 'watchdog' else {'respawn_delay': '3.5'}
    for node in start(name, **delay).values():
        for status in (-9, 1, 70):
            said, given_up = launching.ended(node, status)
            assert not given_up
            assert 'ended' in said
        said, given_up = launching.ended(node, BAD_CONFIGURATION)
        assert given_up
        assert 'is not started again' in said


def test_the_delay_before_a_new_start_is_what_is_asked(start, launching):
    if isinstance(launching.library, Genuine):
        pytest.skip('launch keeps it to itself')
    nodes = start('bringup', respawn_delay='3.5')

    delays = {
        name: (node.action.respawn, node.action.respawn_delay) for name, node in nodes.items()
    }
    assert delays == {'/camera_detector': (True, 3.5), '/watchdog': (True, 0.5)}


# ---- the files that are shipped


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
def test_the_executables_are_installed(start, path):
    scripts = (ROOT / 'setup.py').read_text()

    for node in start(path.name.removesuffix('.launch.py')).values():
        package, executable = node.program.split('/')
        assert package == 'edge_inference_ros'
        assert f'{executable} = ' in scripts


def test_the_package_installs_launch_files_and_configuration():
    text = (ROOT / 'setup.py').read_text()

    assert "*shared('launch')" in text
    assert "*shared('config')" in text


@pytest.mark.parametrize('overlay', [None, *PLATFORMS], ids=lambda p: p.stem if p else 'alone')
def test_detector_parameters_fit_the_schema(overlay):
    content = parameters(DETECTOR) | (parameters(overlay) if overlay else {})

    build(CameraDetectorParams, content)


@pytest.mark.parametrize('robot', [None, *ROBOTS], ids=lambda p: p.stem if p else 'alone')
def test_watchdog_parameters_fit_the_schema(robot):
    content = parameters(WATCHDOG) | (parameters(robot) if robot else {})

    build(WatchdogParams, content)


@pytest.mark.parametrize(
    ('path', 'schema'), [(DETECTOR, CameraDetectorParams), (WATCHDOG, WatchdogParams)]
)
def test_the_shipped_values_are_the_defaults_so_that_the_file_is_a_description(path, schema):
    defaults = {name: default for name, default, *_ in specs(schema)}

    for name, value in parameters(path).items():
        assert (tuple(value) if isinstance(value, list) else value) == defaults[name], name


@pytest.mark.parametrize('model', sorted((ROOT / 'models').glob('*/manifest.yaml')))
@pytest.mark.parametrize('overlay', PLATFORMS, ids=lambda p: p.stem)
def test_a_platform_works_with_every_model_that_ships(overlay, model):
    content = parameters(overlay)

    file = load(model.parent).file(content['backend'], content.get('precision', ''))

    assert file.path.is_file()
