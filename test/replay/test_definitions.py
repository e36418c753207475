"""Types are known by their fields, and a bag's own definitions are compared, never trusted."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import get_types_from_msg
from support import bags

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay import definitions
from edge_inference_ros.ros.tool import message_class

# What ROS 2 Jazzy's rosidl computed from vision_msgs 4.1.1 and nav2_msgs 1.3.
GENUINE = {
    'vision_msgs/msg/Detection2DArray': (
        'RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968'
    ),
    'nav2_msgs/msg/SpeedLimit': (
        'RIHS01_83d8e4e842559f4d9a988b19d31b162216ec738536389f98438d1a166f91845a'
    ),
}


@pytest.mark.parametrize('name', GENUINE)
def test_our_definitions_have_the_hash_of_the_genuine_ones(name):
    assert definitions.typestore().hash_rihs01(name) == GENUINE[name]


@pytest.mark.parametrize(
    ('name', 'stamped'),
    [
        ('sensor_msgs/msg/Image', True),
        ('nav_msgs/msg/Odometry', True),
        ('vision_msgs/msg/Detection3DArray', True),
        ('std_msgs/msg/String', False),
        ('tf2_msgs/msg/TFMessage', False),
        ('std_msgs/msg/Empty', False),
        ('nobody/msg/Knows', False),
    ],
)
def test_a_type_is_stamped_if_it_begins_with_a_header(name, stamped):
    assert definitions.is_stamped(name) is stamped


def test_a_definition_with_other_fields_is_refused_by_name():
    text = 'std_msgs/Header header\nuint32 width\nuint32 height\n'

    with pytest.raises(BagError, match=r'sensor_msgs/msg/Image.*other fields.*width'):
        definitions.check_same(bags.IMAGE, text)


def test_a_nested_definition_with_other_fields_is_refused_too():
    text, _ = definitions.typestore().generate_msgdef(bags.IMAGE, ros_version=2)

    with pytest.raises(BagError, match='std_msgs/msg/Header'):
        definitions.check_same(bags.IMAGE, text.replace('string frame_id', 'string frame'))


def test_the_genuine_definition_passes():
    text, _ = definitions.typestore().generate_msgdef(bags.IMAGE, ros_version=2)

    definitions.check_same(bags.IMAGE, text)


def test_text_that_is_no_definition_is_refused():
    with pytest.raises(BagError, match='is not one'):
        definitions.check_same(bags.IMAGE, '__import__("os") ]]')


def test_a_missing_definition_file_is_named(tmp_path):
    with pytest.raises(BagError, match=r'my_msgs/msg/Odd.*Odd\.msg'):
        definitions.learn('my_msgs/msg/Odd', tmp_path)


def test_installed_definitions_are_learned_with_what_they_need(tmp_path):
    folder = tmp_path / 'test_made_msgs' / 'msg'
    folder.mkdir(parents=True)
    (folder / 'Inner.msg').write_text('float32[] values\n')
    (folder / 'Outer.msg').write_text('std_msgs/Header header\nInner[] rows\n')

    store = definitions.learn('test_made_msgs/msg/Outer', tmp_path)

    assert definitions.is_stamped('test_made_msgs/msg/Outer')
    assert {'test_made_msgs/msg/Inner', 'std_msgs/msg/Header'} <= store.fielddefs.keys()


@settings(deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damaged_bytes_are_a_bag_error_or_a_message(at, noise):
    data = bytearray(bags.detections(5, [(1.0, 2.0, 3.0, 4.0, 'person', 0.5)]))
    data[at % len(data) : at % len(data) + len(noise)] = noise

    with suppress(BagError):
        definitions.decode(bags.DETECTIONS, bytes(data))


def installed_types():
    """Every message type of every installed package, and its genuine hash where that is known."""
    index = pytest.importorskip('ament_index_python.packages', reason='no ROS 2 here')
    for package, prefix in sorted(index.get_packages_with_prefixes().items()):
        for path in sorted((Path(prefix) / 'share' / package / 'msg').glob('*.msg')):
            described = path.with_suffix('.json')
            said = json.loads(described.read_text()) if described.is_file() else {}
            name = f'{package}/msg/{path.stem}'
            hashes = {row['type_name']: row['hash_string'] for row in said.get('type_hashes', ())}
            yield name, hashes.get(name, '')


@pytest.mark.ros
def test_what_we_write_of_every_installed_type_is_what_the_running_ros_says():
    """The definition in a recording has the fields of the bytes beside it."""
    checked = hashed = 0
    nothing = {'structure_needs_at_least_one_member'}
    for name, genuine in installed_types():
        text, type_hash = definitions.described(name)
        written = get_types_from_msg(text, name)[name][1]
        assert not genuine or type_hash == genuine, name
        hashed += bool(genuine)
        with suppress(BagError):  # a package may be installed without its Python part
            running = message_class(name).get_fields_and_field_types()
            assert {field for field, _ in written} - nothing == set(running) - nothing, name
            checked += 1

    assert checked > 100
    assert hashed > 100 or not hashed  # Humble writes no hashes down
