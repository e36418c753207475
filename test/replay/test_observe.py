"""What nodes published comes back as facts, or as an error that names the topic."""

import json

import pytest
from support import bags

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.observe import Topics, observe, read_played

LAPS = {'sensor_to_output': '40.500', 'transport': '1.500', 'infer': '39.000'}
COUNTS = {'received': 3, 'superseded': 1, 'rejected': 0, 'failed': 0}
ENGINE = {'model': 'street_tiny', 'digest': '12e45', 'backend': 'ort'}


def latency(at, **changes):
    values = {**LAPS, **COUNTS, **ENGINE, **changes}
    return ('/latency', bags.DIAGNOSTICS, at, bags.diagnostics(at, {'/camera_detector': values}))


def seen(folder, rows, **options):
    with open_bag(bags.write(folder / 'bag', rows)) as bag:
        return observe(bag, **options)


def test_laps_counts_and_engine_are_told_apart(tmp_path):
    found = seen(tmp_path, [latency(100), latency(200, received='7')], expected_ns=(200, 100, 200))

    assert [o.stamp_ns for o in found.outputs] == [100, 200]
    assert found.outputs[0].laps_ms == {'sensor_to_output': 40.5, 'transport': 1.5, 'infer': 39.0}
    assert found.counts['received'] == 7
    assert found.engine == ENGINE  # a digest that looks like a number is not a lap
    assert found.expected_ns == (100, 200)


def test_the_detectors_own_summary_has_the_last_word(tmp_path):
    summary = {'posted': 9, 'superseded': 2, 'rejected': 3, 'failed': 0, 'done': 4}
    row = bags.diagnostics(300, {'/camera_detector: latency': summary})

    found = seen(tmp_path, [latency(100), ('/diagnostics', bags.DIAGNOSTICS, 300, row)])

    assert found.counts == {
        'received': 9, 'superseded': 2, 'rejected': 3, 'failed': 0, 'done': 4
    }  # fmt: skip


def test_verdicts_are_the_last_counts_of_every_source_added_up(tmp_path):
    def beat(at, ok, stale):
        held = {'OK': ok, 'STALE_AGE': stale, 'age_ms': 12.5, 'deadline_ms': 200}
        rows = {'perception': {'odometry': 'ok'}, 'detections': held, 'obstacles': {'OK': 1}}
        return ('/freshness', bags.DIAGNOSTICS, at, bags.diagnostics(at, rows))

    found = seen(tmp_path, [latency(100), beat(110, 1, 0), beat(120, 5, 2)])

    assert found.verdicts == {'OK': 6, 'STALE_AGE': 2}
    assert found.ages == ((110, 12.5, 200.0), (120, 12.5, 200.0))


def test_forwarded_predictions_are_stamp_and_time_of_reception(tmp_path):
    row = ('/fresh/detections', bags.DETECTIONS, 150, bags.detections(100, []))

    assert seen(tmp_path, [latency(100), row]).forwarded_ns == ((100, 150),)


def test_names_are_relative_to_the_namespace(tmp_path):
    topic, *rest = latency(100)
    rows = [(f'/front{topic}', *rest)]

    assert len(seen(tmp_path, rows, topics=Topics(namespace='front')).outputs) == 1


def test_a_recording_without_latency_is_refused(tmp_path):
    with pytest.raises(BagError, match=r"no topic '/latency'; there are /image"):
        seen(tmp_path, [('/image', bags.IMAGE, 1, bags.image(1))])


def test_a_latency_topic_of_another_type_is_refused(tmp_path):
    with pytest.raises(BagError, match='/latency is sensor_msgs/msg/Image'):
        seen(tmp_path, [('/latency', bags.IMAGE, 1, bags.image(1))])


@pytest.mark.parametrize('data', [b'', b'\x00\x01', b'\x00\x01\x00\x00' + bytes(6)])
def test_cut_messages_are_an_error_that_names_the_bag(tmp_path, data):
    with pytest.raises(BagError, match='bag'):
        seen(tmp_path, [('/latency', bags.DIAGNOSTICS, 1, data)])


def test_a_count_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(BagError, match='/latency'):
        seen(tmp_path, [latency(1, received='many')])


def test_a_players_log_reads_back(tmp_path):
    said = {
        'loops': [{'first_ns': 5, 'start_ns': 9, 'rate': 1.0}],
        'types': {'/image': bags.IMAGE},
        'stamps_ns': {'/image': [9, 10]},
    }
    path = tmp_path / 'played.json'
    path.write_text(json.dumps(said))

    played = read_played(path)

    assert played.loops[0].now_ns(6) == 10
    assert played.stamps_ns == {'/image': (9, 10)}


@pytest.mark.parametrize('text', ['', '{}', '[]', '{"loops": [{}], "types": {}}', '[' * 100_000])
def test_a_log_that_is_none_is_refused_by_name(tmp_path, text):
    path = tmp_path / 'played.json'
    path.write_text(text)

    with pytest.raises(BagError, match=r'played\.json: not a log'):
        read_played(path)


def test_a_missing_log_is_refused_by_name(tmp_path):
    with pytest.raises(BagError, match=r'nowhere\.json'):
        read_played(tmp_path / 'nowhere.json')
