from __future__ import annotations

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

    report = build.run(path, machine.cache, EngineOptions())

    assert report.facts['gpu'] == 'Fake GPU'
    assert report.facts['tensorrt'] == '10.3.0'
    assert report.facts['plan_bytes'] > 0
    assert report.facts['onnx_sha256'] == digest(path)
    assert (machine.cache / f'{report.facts["engine_sha256"]}.engine').exists()


def test_what_was_built_opens(machine):
    manifest, path = machine.model()
    build.run(path, machine.cache, EngineOptions())

    machine.open(manifest, path).close()


def test_a_second_run_finds_the_first_ones_engine(machine):
    _, path = machine.model()
    build.run(path, machine.cache, EngineOptions())

    report = build.run(path, machine.cache, EngineOptions())

    assert 'Found' in report.notes[-1]
    assert len(machine.trt._builds) == 1


def test_a_model_folder_names_the_network(machine):
    _, path = machine.model()

    report = build.run(folder(machine, path), machine.cache, EngineOptions())

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


def test_a_terminal_shows_a_bar_of_the_outermost_phase(machine, terminal):
    _, path = machine.model()
    screen = terminal()

    build.run(path, machine.cache, EngineOptions())

    assert 'Building Engine' in screen.getvalue()
    assert '2 of 2 steps' in screen.getvalue()


def test_a_log_names_every_phase(machine, caplog):
    _, path = machine.model()

    with caplog.at_level('INFO'):
        build.run(path, machine.cache, EngineOptions())

    assert [record.getMessage().split(',')[0] for record in caplog.records] == [
        'Tactic', 'Building Engine: 1 of 2 steps', 'Building Engine: 2 of 2 steps'
    ]  # fmt: skip


def test_the_command_that_open_prints_is_one_the_command_line_takes(machine, monkeypatch):
    from edge_inference_ros import cli
    from edge_inference_ros.errors import ModelError

    manifest, path = machine.model()
    with pytest.raises(ModelError) as failure:
        machine.open(manifest, path)
    printed = str(failure.value).rpartition('edge_inference ')[2].split()

    assert cli.main(printed) == 0
    machine.open(manifest, path).close()
