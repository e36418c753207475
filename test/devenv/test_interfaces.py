"""The interface packages built here are, on the wire, the genuine ones."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from tools.devenv import interfaces
from tools.devenv.errors import DevenvError

GENUINE = {
    name: value
    for line in (Path(__file__).parent / 'type_hashes.txt').read_text().splitlines()
    if not line.startswith('#')
    for value, name in [line.split()]
}
STOCK = get_typestore(Stores.ROS2_JAZZY)


def read_ours():
    """Every message of ours, in a store that takes none of them from elsewhere."""
    types = {}
    for path in interfaces.FOLDER.glob('*/msg/*.msg'):
        name = f'{path.parent.parent.name}/msg/{path.stem}'
        types |= get_types_from_msg(path.read_text(), name)
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in types:
        store.fielddefs.pop(name, None)
    store.register(types)
    return store, types


OURS, OUR_TYPES = read_ours()


def test_every_message_has_a_known_hash():
    assert GENUINE.keys() == OUR_TYPES.keys()


@pytest.mark.parametrize('name', sorted(GENUINE))
def test_a_message_has_the_genuine_hash(name):
    assert OURS.hash_rihs01(name) == f'RIHS01_{GENUINE[name]}'


@pytest.mark.parametrize('name', sorted(GENUINE.keys() & STOCK.fielddefs.keys()))
def test_a_message_others_know_too_has_their_fields_and_constants(name):
    assert OURS.fielddefs[name] == STOCK.fielddefs[name]


@pytest.mark.parametrize('name', sorted(GENUINE))
def test_what_was_compiled_has_the_genuine_hash(name):
    package, _, message = name.split('/')
    described = Path(sys.prefix) / 'share' / package / 'msg' / f'{message}.json'
    if not described.exists():
        pytest.skip('a sourced ROS 2 is used: nothing was compiled here')

    hashes = {
        item['type_name']: item['hash_string']
        for item in json.loads(described.read_text())['type_hashes']
    }

    assert hashes[name] == f'RIHS01_{GENUINE[name]}'


@pytest.mark.parametrize('package', interfaces.packages(), ids=lambda package: package.name)
def test_a_package_generates_exactly_the_files_it_holds(package):
    folder = package.folder
    listed = re.findall(
        r'^  ((?:msg|srv|action)/\S+)$', (folder / 'CMakeLists.txt').read_text(), re.MULTILINE
    )
    held = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob('*'))
        if path.suffix in {'.msg', '.srv', '.action'}
    ]

    assert listed == held


def package(folder, name, *depends):
    (folder / name).mkdir()
    lines = ''.join(f'<depend>{other}</depend>' for other in depends)
    (folder / name / 'package.xml').write_text(f'<package><name>{name}</name>{lines}</package>')


def test_packages_come_after_those_they_build_upon(tmp_path):
    package(tmp_path, 'a', 'std_msgs', 'c')
    package(tmp_path, 'b')
    package(tmp_path, 'c', 'b')

    order = [item.name for item in interfaces.packages(tmp_path)]

    assert order.index('b') < order.index('c') < order.index('a')


def test_a_changed_package_is_built_again_and_so_are_those_above_it(tmp_path):
    package(tmp_path, 'above', 'below')
    package(tmp_path, 'beside')
    package(tmp_path, 'below')
    before = interfaces.digests(interfaces.packages(tmp_path), 'facts')
    (tmp_path / 'below' / 'New.msg').write_text('bool yes\n')
    after = interfaces.digests(interfaces.packages(tmp_path), 'facts')

    assert {name for name in before if before[name] != after[name]} == {'above', 'below'}


def test_other_wheels_mean_another_digest(tmp_path):
    package(tmp_path, 'one')
    packages = interfaces.packages(tmp_path)

    assert interfaces.digests(packages, 'old') != interfaces.digests(packages, 'new')


def test_the_wheels_cmake_files_are_mended_once(tmp_path):
    file = tmp_path / 'share' / 'p' / 'cmake' / 'export.cmake'
    file.parent.mkdir(parents=True)
    file.write_text(
        'INCLUDE "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include"\n'
    )
    here = {'python_include': Path('/usr/include/python3.11'), 'numpy_include': Path(r'/n\1')}

    assert interfaces.mend_cmake(tmp_path, **here) == 1
    assert file.read_text() == 'INCLUDE "/usr/include/python3.11;/n\\1"\n'
    assert interfaces.mend_cmake(tmp_path, **here) == 0


def test_a_build_that_fails_shows_the_end_of_its_output_and_where_the_rest_is(
    tmp_path, monkeypatch
):
    cmake = tmp_path / 'bin' / 'cmake'
    cmake.parent.mkdir()
    cmake.write_text('#!/bin/sh\necho "No rosidl_typesupport_c found"\nexit 1\n')
    cmake.chmod(0o755)
    monkeypatch.setenv('PATH', str(cmake.parent))
    package(tmp_path, 'one')

    with pytest.raises(
        DevenvError, match=r'failed: cmake(.|\n)*No rosidl_typesupport_c(.|\n)*\.log'
    ):
        interfaces.build(interfaces.packages(tmp_path)[0], tmp_path)
