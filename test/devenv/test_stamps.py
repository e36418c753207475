"""A step is done once for given inputs, and again when they change or it broke off."""

from __future__ import annotations

import json

import pytest

from tools.devenv.stamps import Stamps, digest


def test_a_digest_changes_with_a_file_s_text_its_name_and_every_fact(tmp_path):
    file = tmp_path / 'a.txt'
    file.write_text('one')
    seen = {digest([file], 'x')}

    seen.add(digest([file], 'y'))
    file.write_text('two')
    seen.add(digest([file], 'x'))
    seen.add(digest([file.rename(tmp_path / 'b.txt')], 'x'))

    assert len(seen) == 4


def test_text_that_moves_from_one_file_to_the_next_changes_the_digest(tmp_path):
    first, second = tmp_path / 'a', tmp_path / 'b'
    first.write_text('ab')
    second.write_text('c')
    before = digest([first, second])
    first.write_text('a')
    second.write_text('bc')

    assert digest([first, second]) != before


def test_the_order_in_which_files_are_found_does_not_matter(tmp_path):
    files = [tmp_path / name for name in 'ab']
    for file in files:
        file.write_text(file.name)

    assert digest(files) == digest(reversed(files))


def test_a_step_is_done_once_even_across_runs(tmp_path):
    done = []

    assert Stamps(tmp_path / 's.json').once('step', 'in', lambda: done.append(1))
    assert not Stamps(tmp_path / 's.json').once('step', 'in', lambda: done.append(2))

    assert done == [1]


def test_a_step_with_other_inputs_is_done_again(tmp_path):
    stamps = Stamps(tmp_path / 's.json')
    stamps.once('step', 'old', lambda: None)

    assert stamps.once('step', 'new', lambda: None)
    assert stamps.holds('step', 'new')


def test_a_step_that_breaks_off_is_not_done_and_the_others_stay_done(tmp_path):
    stamps = Stamps(tmp_path / 's.json')
    stamps.once('first', 'in', lambda: None)
    stamps.once('second', 'old', lambda: None)

    def break_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stamps.once('second', 'new', break_off)

    later = Stamps(tmp_path / 's.json')
    assert later.holds('first', 'in')
    assert not later.holds('second', 'old')
    assert not later.holds('second', 'new')


@pytest.mark.parametrize('text', ['', '{"step": "i', '[]', 'null'])
def test_a_damaged_file_of_stamps_counts_as_none(tmp_path, text):
    file = tmp_path / 's.json'
    file.write_text(text)
    stamps = Stamps(file)

    assert stamps.once('step', 'in', lambda: None)
    assert json.loads(file.read_text()) == {'step': 'in'}
