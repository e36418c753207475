"""The screen shows what the board knows, at any size, by key and by mouse."""

import asyncio
import io

import pytest
from monitor.pictures import freshness, heard, latency
from rich.console import Console

pytest.importorskip('textual', reason='the live screen needs textual')

from textual.widgets import DataTable, RichLog, Static

from edge_inference_ros.monitor import draw
from edge_inference_ros.monitor.board import Board, Heard, Picture
from edge_inference_ros.monitor.screen import Top

STALE = heard(
    freshness={'/front/freshness': freshness(state='STALE', level=2, age_ms=400.0)},
    locks={'/front/lock': True},
)


class Script:
    """Gives the pictures of a drive, one a look; the last one for ever."""

    def __init__(self, *looks):
        self.looks, self.board, self.at = looks, Board(), 0

    def __call__(self):
        said = self.looks[min(self.at, len(self.looks) - 1)]
        self.at += 1
        return self.board.take(said, float(self.at)) if said else Picture()


def driven(script, *keys, size=(80, 24), use=None):
    """What the app holds after ``keys``, one look each."""

    async def scenario():
        app = Top(script, where='Listening in domain 7.', period_s=3600.0)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            for key in keys:
                await pilot.press(key) if key != 'look' else app.refresh_board()
                await pilot.pause()
            return await use(app, pilot) if use else text_of(app)

    return asyncio.run(scenario())


def text_of(app):
    """Every character on the screen, line by line."""
    strips = app.screen._compositor.render_strips()
    return '\n'.join(''.join(segment.text for segment in strip) for strip in strips)


def test_eighty_by_twenty_four_shows_state_age_stages_and_keys():
    shown = driven(Script(heard()))

    for word in ('VALID', 'unlocked', 'limit 1.50 m/s', 'speed 1.00', '/front/detections'):
        assert word in shown
    for word in ('infer', 'p99', 'quit', 'pause', 'cpu 25%'):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_nothing_heard_says_where_it_listens():
    shown = driven(Script(None))

    assert 'nothing heard yet' in shown
    assert 'domain 7' in shown


def test_a_stale_source_is_seen_without_colour_and_written_to_the_log():
    async def use(app, pilot):
        return text_of(app), [line.text for line in app.query_one(RichLog).lines]

    shown, log = driven(Script(heard(), STALE), 'look', size=(120, 40), use=use)

    assert 'STALE' in shown
    assert 'LOCKED' in shown
    assert '!' in shown
    assert any('VALID → STALE' in line for line in log)


def test_what_is_not_heard_yet_is_not_called_absent():
    shown = driven(Script(heard(freshness={}, locks={})))

    assert 'no watchdog heard yet' in shown
    assert 'UNGUARDED' not in shown


def test_a_stop_and_an_accepted_message_are_words_of_their_own():
    shown = driven(
        Script(heard(freshness={'/f/freshness': freshness(state='STALE', level=2, limit='none')})),
        size=(140, 24),
    )

    assert 'limit STOP' in shown
    assert 'accepted' in shown
    assert all('OK' not in line for line in shown.splitlines() if 'STALE' in line and '█' in line)


def test_pause_freezes_the_screen_and_goes_on():
    async def use(app, pilot):
        frozen = text_of(app)
        await pilot.press('p')
        app.refresh_board()
        await pilot.pause()
        return frozen, text_of(app)

    frozen, going = driven(Script(heard(), STALE), 'p', 'look', use=use)

    assert 'VALID' in frozen
    assert 'PAUSED' in frozen
    assert 'STALE' in going


def test_keys_hide_and_show_stages_and_log():
    async def use(app, pilot):
        await pilot.press('s', 'l')
        await pilot.pause()
        return app.query_one('#stages', Static).display, app.query_one(RichLog).display

    assert driven(Script(heard()), use=use) == (False, False)


def test_a_click_chooses_the_source_whose_stages_are_shown():
    two = heard(
        latency={name: heard().latency['/front/latency'] for name in ('/a/latency', '/b/latency')},
        freshness={},
    )

    async def use(app, pilot):
        await pilot.click(DataTable, offset=(2, 2))
        await pilot.pause()
        return app._chosen().topic

    assert driven(Script(two), use=use) == '/b/detections'


def test_a_source_that_is_guarded_no_more_leaves_the_table():
    both = heard(
        freshness={'/front/freshness': [*freshness(), freshness()[1]._replace(name='old')]}
    )

    async def use(app, pilot):
        return [key.value for key in app.query_one(DataTable).rows]

    assert driven(Script(both), use=use) == ['/front/detections', '/front/old']
    assert driven(Script(both, heard()), 'look', use=use) == ['/front/detections']


def test_the_stages_are_those_of_the_row_that_is_chosen():
    def of(*names):
        rows = {
            n: latency()._replace(values={**latency().values, 'model': f'of_{n}'}) for n in names
        }
        return heard(latency={f'/{n}/latency': [row] for n, row in rows.items()}, freshness={})

    async def use(app, pilot):
        return app._chosen().topic, text_of(app)

    chosen, shown = driven(Script(of('b'), of('a', 'b')), 'look', use=use)

    assert chosen == '/b/detections'
    assert 'of_b on ort' in shown


@pytest.mark.parametrize('key', ['q', 'ctrl+c'])
def test_a_key_ends_it(key):
    async def use(app, pilot):
        await pilot.press(key)
        return app._exit

    assert driven(Script(heard()), use=use)


def test_it_ends_when_there_is_nothing_to_look_at_any_more():
    async def scenario():
        nonlocal going
        app = Top(look, period_s=3600.0, going=lambda: going)
        async with app.run_test() as pilot:
            await pilot.pause()
            before, going = app._exit, False
            app.refresh_board()
            return before, app._exit

    script, going = Script(heard()), True

    def look():
        if not going:
            raise RuntimeError('the context is gone')
        return script()

    assert asyncio.run(scenario()) == (False, True)


@pytest.mark.parametrize(('age', 'deadline', 'ends'), [(30.0, 300.0, '░'), (300.0, 300.0, '█')])
def test_the_bar_is_full_at_the_deadline(age, deadline, ends):
    assert draw.age_bar(age, deadline).plain[-1] == ends


def test_of_who_is_silent_no_age_is_shown_and_the_stages_are_called_its_last():
    board = Board()
    board.take(heard(freshness={}), 0.0)
    picture = board.take(Heard(), 10.0)
    (detector,) = picture.detectors

    cells = [cell.plain for cell in draw.lone_cells(detector, picture)]

    assert 'SILENT' in cells
    assert '-/-' in cells
    assert 'these are its last' in draw.waterfall(detector).plain


def test_past_the_deadline_the_bar_says_so():
    assert draw.age_bar(5000.0, 0.0).plain.endswith('!')
    assert draw.age_bar(301.0, 300.0).plain.endswith('!')
    assert set(draw.age_bar(None, 300.0).plain) == {'·'}


def test_stages_lie_end_to_end_and_fill_the_bar():
    (detector,) = Board().take(heard(), 0.0).detectors

    lines = draw.waterfall(detector, 80).plain.splitlines()

    bars = [line[17:47] for line in lines[:-2]]
    starts = [len(bar) - len(bar.lstrip()) for bar in bars]
    assert starts == sorted(starts)
    assert lines[-2].startswith('sensor_to_output')


def test_the_table_of_once_needs_no_terminal():
    out = io.StringIO()

    Console(file=out, width=120).print(draw.whole(Board().take(heard(), 0.0), 120))

    assert '/front/detections' in out.getvalue()
    assert '40.0/300' in out.getvalue()
