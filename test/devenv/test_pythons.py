"""The oldest and the newest other Python of a machine are found."""

import os

import pytest

from tools.devenv import pythons


@pytest.mark.parametrize(
    ('found', 'chosen'),
    [
        ([(3, 10), (3, 11), (3, 12), (3, 13)], [(3, 10), (3, 13)]),
        ([(3, 11), (3, 12)], [(3, 12)]),
        ([(3, 8), (3, 9), (3, 11), (3, 14)], []),
        ([(3, 9), (3, 10), (3, 11), (3, 12)], [(3, 10), (3, 12)]),
    ],
)
def test_the_oldest_and_the_newest_supported_ones_but_ours(found, chosen):
    assert pythons.outermost(found, (3, 11)) == chosen


def test_what_pyenv_keeps_is_found_unless_it_only_says_that_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', os.defpath)
    monkeypatch.setattr(pythons.shutil, 'which', lambda name: None)
    for version, ending in (('3.10.1', 'true'), ('3.12.1', 'false')):
        path = tmp_path / 'versions' / version / 'bin' / f'python{version.rpartition(".")[0]}'
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\n{ending}\n')
        path.chmod(0o755)

    assert list(pythons.installed(tmp_path)) == [(3, 10)]
