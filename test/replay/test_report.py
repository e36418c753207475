"""The report says what happened, for people and for machines."""

import json

import cv2
import numpy as np
import pytest
from support import bags

from edge_inference_ros.errors import BagError, ConfigError
from edge_inference_ros.replay import plot, report
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.figures import Observed, Output
from edge_inference_ros.replay.pictures import picture_topic, read_detections, save_overlays
from edge_inference_ros.replay.schedule import Schedule
from edge_inference_ros.replay.summary import judge

PERIOD_NS = 10**8
SHIFT_NS = 5 * 10**9


def run_of(tmp_path, count=70, *, refused=(), superseded=()):
    """A recording, the log of what was played and the bag that was: one box in every frame."""
    source = bags.pictures(tmp_path / 'source', count, topic='/camera/image_raw')
    stamps = [bags.FIRST_NS + i * PERIOD_NS + SHIFT_NS for i in range(count)]
    rows = []
    for i, ns in enumerate(stamps):
        if i in superseded:
            continue
        laps = {'sensor_to_output': 40, 'transport': 2, 'infer': 38}
        counts = {'received': i + 1, 'superseded': len([s for s in superseded if s < i]),
                  'rejected': 0, 'failed': 0, 'backend': 'null'}  # fmt: skip
        out_ns = ns + 40_000_000
        box = bags.detections(ns, [(1.0, 1.0, 4.0, 3.0, 'person', 0.9)])
        rows.append(
            ('/latency', bags.DIAGNOSTICS, out_ns, bags.diagnostics(ns, {'d': laps | counts}))
        )
        rows.append(('/detections', bags.DETECTIONS, out_ns, box))
        if i not in refused:
            rows.append(('/fresh/detections', bags.DETECTIONS, out_ns + 1, box))
    done = count - len(superseded)
    beat = {'detections': {'OK': done - len(refused), 'STALE_AGE': len(refused),
                           'age_ms': 40, 'deadline_ms': 200}}  # fmt: skip
    rows.append(('/freshness', bags.DIAGNOSTICS, rows[-1][2], bags.diagnostics(1, beat)))
    recording = bags.write(tmp_path / 'recording', rows)
    played = tmp_path / 'played.json'
    played.write_text(json.dumps({
        'loops': [{'first_ns': bags.FIRST_NS, 'start_ns': bags.FIRST_NS + SHIFT_NS, 'rate': 1.0}],
        'types': {'/camera/image_raw': bags.IMAGE, '/odom': 'nav_msgs/msg/Odometry'},
        'stamps_ns': {'/camera/image_raw': stamps, '/odom': [1]},
    }))  # fmt: skip
    return source, recording, played


def test_a_run_becomes_a_table_a_plot_and_pictures(tmp_path):
    source, recording, played = run_of(tmp_path, refused={3, 4}, superseded={9})
    out = tmp_path / 'out'

    found = report.run(
        report.Params(
            bag=str(recording), played=str(played), source=str(source), out=str(out), pictures=5
        )
    )

    text = (out / 'report.txt').read_text()
    assert '70 published = 70 received + 0 lost' in text
    assert '70 received = 69 detected + 1 superseded + 0 rejected   (adds up)' in text
    assert '69 predictions judged = 67 forwarded + 2 refused: STALE_AGE 2' in text
    assert len(list((out / 'overlays').glob('*.jpg'))) == 5
    html = (out / 'report.html').read_text()
    assert html.count('data:image/jpeg') == len(list((out / 'worst').glob('*.jpg'))) == 5
    assert (out / 'latency.png').read_bytes().startswith(b'\x89PNG')
    said = json.loads((out / 'report.json').read_text())
    assert said['guard']['miss_ratio'] == pytest.approx(3 / 70)
    assert said['machine']['cores'] >= 1
    assert found.engine == {'backend': 'null'}


@pytest.mark.parametrize('lost', ['latency.png', 'report.html', 'report.txt', 'overlays', 'worst'])
def test_a_file_that_cannot_be_written_is_named_and_keeps_no_other_from_it(tmp_path, lost):
    source, recording, played = run_of(tmp_path, refused={3})
    out = tmp_path / 'out'
    out.mkdir()
    (out / lost).write_text('') if lost in ('overlays', 'worst') else (out / lost).mkdir()

    found = report.run(
        report.Params(bag=str(recording), played=str(played), source=str(source), out=str(out))
    )

    assert found.exit_code == 2
    assert f'NOT WRITTEN  {out}/{lost}' in found.as_table()
    rest = {'latency.png', 'report.html', 'overlays', 'worst'} - {lost}
    assert rest <= {path.name for path in out.iterdir()}
    assert not [path for path in out.rglob('*') if path.name.endswith('.part')]


def test_a_report_says_where_it_is_and_is_not_written_over(tmp_path, caplog):
    source, recording, played = run_of(tmp_path)
    asked = report.Params(
        bag=str(recording), played=str(played), source=str(source), out=str(tmp_path / 'out')
    )
    caplog.set_level('INFO')

    assert report.run(asked).exit_code == 0

    assert caplog.messages == [f'{tmp_path}/out: {", ".join(report.PLACES)}']
    with pytest.raises(ConfigError, match='already holds a report'):
        report.run(asked)


def test_a_log_that_is_not_there_is_not_said_to_be_none(tmp_path):
    _, recording, _ = run_of(tmp_path, 3)

    with pytest.raises(BagError, match=r'nope\.json: No such file'):
        report.run(report.Params(bag=str(recording), played=str(tmp_path / 'nope.json')))


@pytest.mark.parametrize(('deadline_ms', 'above'), [(50.0, False), (900.0, True)])
def test_a_deadline_outside_the_plot_is_said_to_be_outside(deadline_ms, above):
    from matplotlib.figure import Figure

    outputs = tuple(Output(n * PERIOD_NS, {'sensor_to_output': 40.0}) for n in range(3))
    seen = Observed((), outputs, ages=((PERIOD_NS, 40.0, deadline_ms),))
    axes = Figure().subplots()

    plot._over_time(seen, axes)

    (words,) = [t.get_text() for t in axes.get_legend().get_texts() if 'deadline' in t.get_text()]
    assert ('above this picture' in words) == above
    assert (deadline_ms > axes.get_ylim()[1]) == above


def test_too_few_frames_are_said_to_be_too_few(tmp_path):
    _, recording, played = run_of(tmp_path, 20)

    text = report.run(report.Params(bag=str(recording), played=str(played))).as_table()

    assert '59 for p95' in text
    assert 'n/a' in text


def test_frames_that_do_not_add_up_are_shouted_about():
    seen = Observed((1, 2, 3), (Output(1, {'sensor_to_output': 1.0}),), {'received': 3})

    assert 'DOES NOT ADD UP' in judge(seen, 'x').as_table()


def test_an_overlay_is_drawn_on_the_frame_the_result_belongs_to(tmp_path):
    source, recording, _ = run_of(tmp_path, 10)
    stamp_ns = bags.FIRST_NS + 7 * PERIOD_NS + SHIFT_NS
    with open_bag(recording) as bag:
        found = {stamp_ns: read_detections(bag, '/detections')[stamp_ns]}

    with open_bag(source) as bag:
        saved = save_overlays(
            bag,
            picture_topic(bag),
            found,
            tmp_path / 'overlays',
            loops=[Schedule(bags.FIRST_NS, bags.FIRST_NS + SHIFT_NS)],
            captions={},
            most=3,
        )

    assert saved.keys() == {stamp_ns}
    picture = cv2.imread(str(saved[stamp_ns]))
    assert picture.shape == (4, 6, 3)
    assert np.ptp(picture) > 50  # frame 7 is plain grey: what differs was drawn


def test_overlays_of_a_stamp_nobody_played_are_none(tmp_path):
    source, _, _ = run_of(tmp_path, 5)

    with open_bag(source) as bag:
        options = {'loops': [Schedule(0, 0)], 'captions': {}, 'most': 3}
        assert save_overlays(bag, '/camera/image_raw', {1: []}, tmp_path / 'o', **options) == {}


def test_several_picture_topics_must_be_told_apart(tmp_path):
    rows = [(name, bags.IMAGE, 1, bags.image(1)) for name in ('/left', '/right')]

    with open_bag(bags.write(tmp_path / 'bag', rows)) as bag:
        with pytest.raises(BagError, match=r'which topic\? pictures are on /left, /right'):
            picture_topic(bag)
        assert picture_topic(bag, '/right') == '/right'


def test_a_report_on_nothing_says_what_it_needs():
    with pytest.raises(ConfigError, match='--bag'):
        report.run(report.Params())
