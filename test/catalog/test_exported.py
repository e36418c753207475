"""What an exporter left in a file is read as literals, and never evaluated."""

import pytest

from edge_inference_ros.catalog.exported import class_names, picture_size, read


@pytest.mark.parametrize(
    ('metadata', 'names'),
    [
        ({'names': "{0: 'person', 1: 'car'}"}, ['person', 'car']),
        ({'names': "{1: 'car', 0: 'person'}"}, ['person', 'car']),
        ({'names': "['person', \"driver's seat\"]"}, ['person', "driver's seat"]),
        ({'classes': '["person", "car"]'}, ['person', 'car']),
        ({'labels': 'person, car'}, ['person', 'car']),
        ({'class_names': 'person\ncar'}, ['person', 'car']),
        ({'names': '{}', 'classes': "['a']"}, ['a']),
        ({}, []),
        ({'names': ''}, []),
        ({'names': "{0: 'a', 2: 'b'}"}, []),
        ({'names': "{'0': 'a'}"}, []),
        ({'names': "{True: 'a'}"}, []),
        ({'names': "['a', 'a']"}, ['a', 'a']),
        ({'names': "['a', 3]"}, []),
        ({'names': "['a', '']"}, []),
        ({'names': '{0: '}, []),
        ({'names': "{0: __import__('os').system('touch /tmp/evil')}"}, []),
        ({'names': '(' * 60_000}, []),
        ({'names': '-' * 60_000 + '1'}, []),
        ({'names': '[' + "'a'," * 100_000 + ']'}, []),
    ],
)
def test_class_names_are_read_and_nothing_is_evaluated(metadata, names):
    assert list(class_names(metadata).names) == names


@pytest.mark.parametrize(
    ('text', 'size'),
    [
        ('[480, 640]', (480, 640)),
        ('640', (640, 640)),
        ('(320, 320)', (320, 320)),
        ('', None),
        ('[0, 640]', None),
        ('[640]', None),
        ('[1e3, 640]', None),
        ('[640, 99999]', None),
        ('x', None),
    ],
)
def test_the_size_of_pictures_is_read(text, size):
    assert picture_size({'imgsz': text}) == size


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ("{1: 'person', 2: 'car'}", 'numbers 2 classes from 1 to 2, where 0 to 1'),
        ("['car', '']", '1 of its 2 class names are empty'),
        ("['car', 'bus']", ''),
        ("['car', 'car']", ''),
    ],
)
def test_names_that_cannot_be_taken_say_why(text, words):
    assert words in class_names({'names': text}).fault


@pytest.mark.parametrize(
    ('metadata', 'chosen'),
    [
        ({}, None),
        ({'end2end': 'True'}, True),
        ({'end2end': 'False'}, False),
        ({'args': "{'nms': True, 'batch': 1}"}, True),
        ({'end2end': 'False', 'args': "{'nms': True}"}, True),
        ({'args': '{'}, None),
    ],
)
def test_whether_boxes_are_chosen_is_read_where_it_is_said(metadata, chosen):
    assert read(metadata).chosen is chosen


def test_task_head_and_licence_are_words_on_one_line():
    said = read({'task': 'segment', 'head': 'Seg(ment', 'license': 'AGPL-3.0\nLicense'})

    assert (said.task, said.head, said.licence) == ('segment', '', 'AGPL-3.0 License')
