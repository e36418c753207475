"""Growth is seen, steadiness is not called growth, and the command runs on real nodes."""

import os
from pathlib import Path

import pytest

from tools.soak import __main__ as soak
from tools.soak.vitals import Vitals, growth, read


def watched(rss_kib, *, minutes=15.0, threads=lambda s: 20, files=lambda s: 40):
    times_s = range(0, int(minutes * 60) + 1, 2)
    return [Vitals(float(s), rss_kib(s), threads(s), files(s)) for s in times_s]


def grown(seen):
    return {found.what for found in growth(seen) if found.part > soak.ALLOWED}


def test_what_settles_in_the_first_minutes_is_no_growth():
    assert grown(watched(lambda s: 100_000 + min(s, 179) * 500)) == set()


def test_a_leak_of_a_hundredth_in_twelve_minutes_is_growth():
    assert grown(watched(lambda s: 100_000 + 2 * s)) == {'rss_kib'}
    assert grown(watched(lambda s: 100_000 + s)) == set()


def test_a_thread_or_a_file_that_stays_is_growth():
    assert grown(watched(lambda s: 1, threads=lambda s: 20 + s // 600)) == {'threads'}
    assert grown(watched(lambda s: 1, files=lambda s: 40 + s // 600)) == {'files'}


def test_too_short_a_watch_says_nothing():
    with pytest.raises(ValueError, match='watched for 120 s; need more than 180'):
        growth(watched(lambda s: 1, minutes=2.0))


def test_a_process_is_read_from_proc():
    before = read(os.getpid(), 0.0)
    with Path(__file__).open():
        now = read(os.getpid(), 1.0)

    assert now.files == before.files + 1
    assert now.threads >= 1
    assert now.rss_kib > 10_000


@pytest.mark.ros
def test_the_command_watches_real_nodes(caplog):
    caplog.set_level('INFO', logger='soak')

    code = soak.main(['--minutes', '0.3', '--settled-minutes', '0.05', '--size', '96x64'])

    assert code in (0, 1)  # a process that just started may well grow
    said = caplog.messages
    for name in soak.NODES:
        assert any(f'{name}: ' in line for line in said)
        assert sum(line.startswith(name) for line in said) == 3
