"""The page of a run needs nothing but itself, and says what the table says."""

import time
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.replay.figures import Observed, Output
from edge_inference_ros.replay.page import page
from edge_inference_ros.replay.summary import judge

MS = 1_000_000


def run_of(count=320, *, guarded=True):
    """A run whose seventh output was the slowest, and whose last was refused."""
    outputs = tuple(
        Output(k * 100 * MS, {'transport': 2.0, 'infer': 50.0 if k == 7 else 10.0 + k % 3,
                              'sensor_to_output': 52.0 if k == 7 else 12.0 + k % 3})
        for k in range(count)
    )  # fmt: skip
    ages = tuple((k * 50 * MS, 20.0 + 190.0 * (k == 9), 200.0) for k in range(2 * count))
    return Observed(
        expected_ns=tuple(output.stamp_ns for output in outputs),
        outputs=outputs,
        counts={'received': count},
        forwarded_ns=tuple((o.stamp_ns, o.stamp_ns) for o in outputs[:-1]) if guarded else (),
        verdicts={'OK': count - 1, 'STALE_AGE': 1} if guarded else {},
        ages=ages if guarded else (),
        engine={'model': '<script>alert(1)</script>'},
    )


class Reader(HTMLParser):
    """Counts tags, and keeps text and everything that is loaded."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.loaded, self.open = {}, '', [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.loaded += [value for key, value in attrs if key in ('src', 'href', 'srcset')]
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_no_cross_stands_after_the_last_picture(tmp_path):
    seen = run_of(40)
    after = tuple((k * 50 * MS, 900.0, 200.0) for k in range(80, 84))

    _, read = written(tmp_path, replace(seen, ages=seen.ages + after))

    assert read.tags['path'] == 1  # the one of the ninth heartbeat


def written(tmp_path, seen, *, about=('a street',), frames=()):
    report = judge(seen, 'the <bag>')
    page.write(tmp_path / page.NAME, report, seen, frames, about)
    return report, Reader((tmp_path / page.NAME).read_text())


def test_it_loads_nothing_and_escapes_what_comes_from_outside(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.full((600, 800, 3), 90, np.uint8))
    frames = [page.Worst('<b>oldest</b>', tmp_path / 'a.jpg')]

    _, read = written(tmp_path, run_of(), about=('  <script>x</script>',), frames=frames)

    assert read.open == []
    assert 'script' not in read.tags
    assert 'link' not in read.tags
    assert [src[:23] for src in read.loaded] == ['data:image/jpeg;base64,']
    assert '<script>x</script>' in read.text
    assert '<b>oldest</b>' in read.text
    assert 'http' not in (tmp_path / page.NAME).read_text()


def test_it_says_where_and_when_it_was_run(tmp_path):
    _, read = written(tmp_path, run_of())

    assert str(tmp_path.resolve()) in read.text
    assert time.strftime('%Y-%m-') in read.text


def test_it_says_what_the_table_says(tmp_path):
    report, read = written(tmp_path, run_of())

    assert report.as_table() in read.text
    assert '320 outputs, p50 13.0 ms' in read.text
    assert '1 refused' in read.text


def test_what_is_too_old_is_marked_by_more_than_its_colour(tmp_path):
    _, read = written(tmp_path, run_of())

    assert read.tags['path'] == 1
    assert read.tags['polyline'] == 2


def test_the_worst_frames_are_the_oldest_and_the_refused():
    chosen = page.worst(run_of(), most=2)

    assert len(chosen) == 3
    assert chosen[700 * MS] == 'oldest at output: 52.0 ms'
    assert chosen[31_900 * MS] == 'refused by the watchdog, 13.0 ms at output'


@pytest.mark.parametrize('count', [0, 1, 2])
def test_a_run_of_next_to_nothing_has_a_page_too(tmp_path, count):
    _, read = written(tmp_path, run_of(count))

    assert read.open == []


def test_a_run_without_a_watchdog_shows_the_age_of_each_output(tmp_path):
    _, read = written(tmp_path, run_of(guarded=False))

    assert 'age at output, ms' in read.text
    assert 'path' not in read.tags


def test_a_picture_that_is_gone_is_left_out(tmp_path):
    _, read = written(tmp_path, run_of(), frames=[page.Worst('gone', tmp_path / 'none.jpg')])

    assert 'img' not in read.tags


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    (tmp_path / page.NAME).mkdir()

    with pytest.raises(ConfigError, match='Is a directory'):
        written(tmp_path, run_of())

    assert [path.name for path in tmp_path.iterdir()] == [page.NAME]
