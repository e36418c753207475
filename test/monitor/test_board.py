"""The board tells what the nodes said last, and what changed."""

import pytest
from monitor.pictures import freshness, heard, latency

from edge_inference_ros.core.types import Level
from edge_inference_ros.monitor.board import SILENT_S, Board, Heard, StatusRow


def lines(picture):
    return [text for _, text in picture.log]


def test_a_source_has_its_age_its_deadline_and_the_detector_behind_it():
    picture = Board().take(heard(), 0.0)

    (guard,), (detector,) = picture.guards, picture.detectors
    (source,) = guard.sources
    assert source.topic == detector.topic == '/front/detections'
    assert (source.age_ms, source.deadline_ms, source.required) == (40.0, 300.0, True)
    assert (guard.state, guard.locked, guard.limit_mps) == ('VALID', False, 1.5)
    assert (guard.v_assumed_mps, guard.odometry) == (1.02, 'ok')
    assert (detector.model, detector.backend) == ('street_tiny', 'ort')


def test_stages_are_in_order_with_the_quantiles_of_the_nodes_own_roll_up():
    (detector,) = Board().take(heard(), 0.0).detectors

    assert [stage.name for stage in detector.stages][:3] == ['transport', 'wait', 'view']
    infer = next(stage for stage in detector.stages if stage.name == 'infer')
    wait = next(stage for stage in detector.stages if stage.name == 'wait')
    assert (infer.last_ms, infer.p50_ms, infer.p99_ms) == (10.0, 10.0, 20.0)
    assert wait.p99_ms is None
    assert sum(stage.last_ms for stage in detector.stages) == pytest.approx(detector.whole.last_ms)


def test_the_rate_is_that_of_detections_and_needs_no_message_of_each():
    board = Board()
    board.take(heard(latency={'/front/latency': [latency(received=100, superseded=10)]}), 0.0)
    said = heard(latency={'/front/latency': [latency(received=160, superseded=30)]})

    (detector,) = board.take(said, 2.0).detectors

    assert detector.rate_hz == 20.0  # 40 detections in 2 s
    assert detector.counts['superseded'] == 30


def test_a_node_that_starts_again_counts_from_nothing():
    board = Board()
    board.take(heard(latency={'/front/latency': [latency(received=1000)]}), 0.0)
    board.take(heard(latency={'/front/latency': [latency(received=3)]}), 1.0)
    (detector,) = board.take(
        heard(latency={'/front/latency': [latency(received=13)]}), 2.0
    ).detectors

    assert detector.rate_hz == 10.0


def test_one_look_knows_no_rate():
    (detector,) = Board().take(heard(), 0.0).detectors

    assert detector.rate_hz is None


def test_who_is_silent_is_shown_as_silent_and_vouches_for_nothing():
    board = Board()
    board.take(heard(), 0.0)

    picture = board.take(Heard(), SILENT_S + 0.1)

    (guard,), (detector,) = picture.guards, picture.detectors
    assert (guard.locked, guard.limit_mps, guard.v_assumed_mps) == (None, None, None)
    assert picture.speeds_mps == {}
    assert guard.state == guard.sources[0].state == 'SILENT'
    assert guard.sources[0].age_ms is None
    assert guard.level == detector.level == Level.ERROR
    assert detector.rate_hz == 0.0
    assert '/front/detections: VALID → SILENT' in lines(picture)


def test_what_changed_is_written_down_once():
    board = Board()
    board.take(heard(), 0.0)
    stale = heard(freshness={'/front/freshness': freshness(state='STALE', level=2)})
    board.take(stale, 1.0)

    picture = board.take(stale, 2.0)

    assert lines(picture).count('/front/detections: VALID → STALE') == 1
    assert picture.log[-1][0] == 1.0


def test_refusals_between_two_looks_are_not_lost():
    board = Board()
    board.take(heard(freshness={'/front/freshness': freshness(STALE_AGE=2, OK=9)}), 0.0)

    picture = board.take(heard(freshness={'/front/freshness': freshness(STALE_AGE=5, OK=19)}), 0.5)

    assert lines(picture)[-1] == '/front/detections: 3 more STALE_AGE'


def test_the_lock_and_the_model_are_worth_a_line():
    board = Board()
    board.take(heard(), 0.0)

    picture = board.take(heard(locks={'/front/lock': True}), 1.0)

    assert '/front/watchdog lock: unlocked → locked' in lines(picture)


def test_words_of_a_faulty_input_are_the_detectors():
    row = StatusRow(2, '/front/camera_detector: input', 'silent for 3 s; check the driver', {})

    (detector,) = Board().take(heard(diagnostics=[row]), 0.0).detectors

    assert detector.level == 2
    assert 'check the driver' in detector.words


def test_a_figure_that_runs_is_no_news():
    board = Board()
    for n in range(5):
        row = StatusRow(2, '/front/camera_detector: input', f'silent for {n}.1 s', {})
        picture = board.take(heard(diagnostics=[row]), float(n))

    assert sum('silent for' in line for line in lines(picture)) == 1


def test_numbers_that_are_none_are_unknown_and_never_zero():
    rows = [
        StatusRow(0, 'perception', 'VALID', {'v_assumed_mps': 'much'}),
        StatusRow(0, 'x', 'VALID', {}),
    ]

    (guard,) = Board().take(heard(freshness={'/freshness': rows}), 0.0).guards

    assert guard.v_assumed_mps is None
    assert guard.sources[0].age_ms is None
    assert guard.locked is None


@pytest.mark.parametrize('rows', [[], [StatusRow(0, '', '', {})]])
def test_an_empty_message_is_no_crash(rows):
    picture = Board().take(Heard(latency={'/latency': rows}, freshness={'/freshness': rows}), 0.0)

    assert not picture.empty


def test_a_guard_that_asks_for_a_stop_is_no_guard_without_a_limit():
    stopped = {'/front/freshness': freshness(state='STALE', level=2, limit='none')}

    (asks,) = Board().take(heard(freshness=stopped), 0.0).guards
    (says_nothing,) = (
        Board()
        .take(heard(freshness={'/f/freshness': [StatusRow(0, '', 'VALID', {})]}), 0.0)
        .guards
    )

    assert asks.limit_mps == 0.0
    assert says_nothing.limit_mps is None


def test_two_namespaces_stay_apart():
    picture = Board().take(
        heard(
            latency={'/a/latency': [latency()], '/b/latency': [latency()]},
            freshness={'/freshness': [freshness()[0]]},
        ),
        0.0,
    )

    assert [detector.topic for detector in picture.detectors] == ['/a/detections', '/b/detections']
