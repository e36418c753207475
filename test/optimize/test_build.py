from __future__ import annotations

import io

import pytest
import yaml
from backends.conftest import Machine

from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.manifest import digest
from edge_inference_ros.errors import EngineMissing, ParameterError
from edge_inference_ros.optimize import build


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path).start()


def folder(machine, path, **file):
    said = {
        'schema': 1,
        'name': 'net',
        'task': 'detect2d',
        'licence': 'Apache-2.0',
        'made_by': 'a test',
        'classes': ['one'],
        'input': {'tensor': 'images', 'shape': [1, 2, 3, 3]},
        'outputs': [{'tensor': 'output0', 'shape': [1, 2, 3, 3]}],
        'head': {'name': 'yolov8'},
        'files': [{'path': path.name, 'sha256': digest(path), **file}],
    }
    (machine.folder / 'manifest.yaml').write_text(yaml.safe_dump(said))
    return machine.folder


def test_the_report_says_what_was_built_and_for_what(machine):
    _, path = machine.model()

    report = build.run(path, machine.cache, EngineOptions(), stream=io.StringIO())

    assert report.facts['gpu'] == 'Fake GPU'
    assert report.facts['tensorrt'] == '10.3.0'
    assert report.facts['plan_bytes'] > 0
    assert report.facts['onnx_sha256'] == digest(path)
    assert (machine.cache / f'{report.facts["engine_sha256"]}.engine').exists()


def test_what_was_built_opens(machine):
    manifest, path = machine.model()
    build.run(path, machine.cache, EngineOptions(), stream=io.StringIO())

    machine.open(manifest, path).close()


def test_a_second_run_finds_the_first_ones_engine(machine):
    _, path = machine.model()
    build.run(path, machine.cache, EngineOptions(), stream=io.StringIO())

    report = build.run(path, machine.cache, EngineOptions(), stream=io.StringIO())

    assert 'Found' in report.notes[-1]
    assert len(machine.trt._builds) == 1


def test_a_model_folder_names_the_network(machine):
    _, path = machine.model()

    report = build.run(folder(machine, path), machine.cache, EngineOptions(), stream=io.StringIO())

    assert report.model == str(path)


def test_a_folder_with_an_engine_has_nothing_to_build_from(machine):
    path = machine.folder / 'net.engine'
    path.write_bytes(b'x')

    with pytest.raises(EngineMissing, match='not a network'):
        build.run(folder(machine, path), machine.cache, EngineOptions())


def test_a_fault_in_the_options_is_found_before_the_device_is_asked(machine):
    _, path = machine.model()

    with pytest.raises(ParameterError, match='optimization_level'):
        build.run(path, machine.cache, EngineOptions(optimization_level=9))
    assert machine.device.log == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_that_changes(machine):
    _, path = machine.model()
    stream = Terminal()

    build.run(path, machine.cache, EngineOptions(), stream=stream)

    assert stream.getvalue().startswith('\rBuilding Engine: 0/2\rTactic: 0/1         \r')
    assert stream.getvalue().endswith('2/2\n')


def test_a_log_file_gets_one_line_a_phase(machine):
    _, path = machine.model()
    stream = io.StringIO()

    build.run(path, machine.cache, EngineOptions(), stream=stream)

    assert stream.getvalue() == 'Building Engine\nTactic\n'


def test_the_command_that_open_prints_is_one_the_command_line_takes(machine, monkeypatch):
    from edge_inference_ros import cli
    from edge_inference_ros.errors import ModelError

    manifest, path = machine.model()
    with pytest.raises(ModelError) as failure:
        machine.open(manifest, path)
    printed = str(failure.value).rpartition('edge_inference ')[2].split()

    assert cli.main(printed) == 0
    machine.open(manifest, path).close()
