"""Wheels come by uv from where pip would take them, and by pip where uv will not."""

from __future__ import annotations

import stat

import pytest

from tools.devenv import installer
from tools.devenv.errors import DevenvError

SETTINGS = """:env:.cert='/etc/ssl/certs/ca.crt'
:env:.find-links='/wheels /more'
global.find-links='/forgotten'
global.index-url='https://mirror.example/simple'
install.index-url='https://other.example/simple'
global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'
global.constraint='/etc/constraints.txt'
global.trusted-host="it's.example"
download.index-url='https://never.example'
nonsense
"""


def test_uv_looks_where_pip_is_told_to():
    assert list(installer.options(SETTINGS)) == [
        *('--default-index', 'https://other.example/simple'),
        *('--index', 'https://a.example/simple', '--index', 'https://b.example/simple'),
        *('--find-links', '/wheels', '--find-links', '/more'),
        *('--constraint', '/etc/constraints.txt'),
        *('--allow-insecure-host', "it's.example"),
    ]


@pytest.mark.parametrize(('said', 'options'), [('true', ['--no-index']), ('0', [])])
def test_an_index_that_pip_may_not_ask_is_not_asked(said, options):
    assert list(installer.options(f"global.no-index='{said}'")) == options


@pytest.fixture
def tools(tmp_path):
    """An environment whose python and uv write down what they were asked."""

    def put(name, status):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\nexit {status}\n')
        script.chmod(script.stat().st_mode | stat.S_IEXEC)

    def make(*, uv, pip):
        put('python', pip)
        if uv is not None:
            put('uv', uv)
        return tmp_path / 'python'

    make.asked = lambda: (tmp_path / 'asked').read_text().splitlines()
    return make


def test_uv_installs_copies_and_takes_the_best_version_of_any_index(tools, tmp_path):
    python = tools(uv=0, pip=0)

    installer.install(python, tmp_path / 'a.txt', versions=tmp_path / 'b.txt')

    (asked,) = [line for line in tools.asked() if line.startswith('uv')]
    assert f'--python {python}' in asked
    assert '--link-mode copy --index-strategy unsafe-best-match' in asked
    assert asked.endswith(f'-r {tmp_path}/a.txt -c {tmp_path}/b.txt')


def test_pip_does_it_where_uv_fails(tools, tmp_path):
    installer.install(tools(uv=2, pip=0), tmp_path / 'a.txt')

    assert tools.asked()[-1].startswith('python -m pip install')
    assert tools.asked()[-1].endswith(f'-r {tmp_path}/a.txt')


def test_where_neither_can_it_is_an_error_in_words(tools, tmp_path):
    with pytest.raises(DevenvError, match='run make again'):
        installer.install(tools(uv=None, pip=1), tmp_path / 'a.txt')
