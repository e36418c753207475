"""Where an engine comes from: the cache, a file, or a build that somebody asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_inference_ros.backends import _trt_build, _trt_plans, _trt_words, trt
from edge_inference_ros.core.manifest import ModelFile
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.errors import (
    DigestMismatch,
    EngineMissing,
    EngineStale,
    ModelError,
    OutOfMemory,
    ParameterError,
)

VERSIONS = ('8.6.0', '10.3.0', '10.13.2.6', '10.16.1.11', '11.4.0.106')
DYNAMIC = {'inputs': [{'name': 'images', 'dtype': 'uint8', 'shape': [1, -1, -1, 3]}]}


def flags(machine):
    return {flag.name for flag in machine.trt._builds[-1][1]._set['flags']}


# ---- what open does without an engine


def test_without_an_engine_open_prints_the_command_and_builds_nothing(machine):
    manifest, path = machine.start().model()

    with pytest.raises(EngineMissing) as failure:
        machine.open(manifest, path)

    command = f'edge_inference optimize build {path} --out {machine.cache}'
    assert str(failure.value).endswith(command)
    assert machine.trt._builds == []


def test_the_command_names_what_the_engine_must_be(machine):
    manifest, path = machine.start().model()

    with pytest.raises(EngineMissing, match='--precision int8 --dla-core 1'):
        machine.open(manifest, path, precision='int8', dla_core=1)


@pytest.mark.parametrize(
    ('found', 'words'),
    [
        ('/usr/bin/edge_inference', 'with: edge_inference optimize'),
        (None, 'with: ros2 run edge_inference_ros edge_inference optimize'),
    ],
)
def test_the_command_is_one_this_machine_knows(machine, monkeypatch, found, words):
    monkeypatch.setattr(_trt_plans.shutil, 'which', lambda name: found)
    manifest, path = machine.start().model()

    with pytest.raises(EngineMissing, match=words):
        machine.open(manifest, path)


def test_open_builds_if_it_was_told_to_and_only_once(machine):
    manifest, path = machine.start().model()

    machine.open(manifest, path, build_engine='if_missing').close()
    machine.open(manifest, path, build_engine='if_missing').close()

    assert len(machine.trt._builds) == 1


def test_no_build_at_start_when_the_key_matches(machine):
    engine = machine.start().opened()
    engine.close()

    assert len(machine.trt._builds) == 1


@pytest.mark.parametrize('told', ['never', 'if_missing'])
def test_another_tensorrt_makes_the_engine_stale(machine, told):
    manifest, path = machine.start(version='10.3.0').model()
    machine.build(path)
    machine.start(version='10.13.2.6')

    if told == 'never':
        with pytest.raises(EngineStale, match=r"'10.3.0', here '10.13.2.6'.*optimize build"):
            machine.open(manifest, path)
    else:
        machine.open(manifest, path, build_engine=told).close()
    assert len(machine.trt._builds) == (told == 'if_missing')


def test_a_changed_network_needs_another_engine(machine):
    manifest, path = machine.start().model()
    machine.build(path)
    manifest, path = machine.model(layers=['Convolution'])

    with pytest.raises(EngineMissing):
        machine.open(manifest, path)


def test_a_damaged_engine_is_rebuilt_only_if_it_was_told_to(machine):
    manifest, path = machine.start().model()
    machine.build(path)
    next(machine.cache.glob('*.engine')).write_bytes(b'damaged')

    with pytest.raises(DigestMismatch, match='optimize build'):
        machine.open(manifest, path)
    machine.open(manifest, path, build_engine='if_missing').close()

    assert b'damaged' not in machine.trt._loaded


def test_the_node_says_whether_to_build(machine, monkeypatch):
    manifest, path = machine.start().model()
    monkeypatch.setenv('EDGE_INFERENCE_ENGINES', str(machine.cache))

    trt.open(manifest, path, build_engine='if_missing').close()

    assert len(machine.trt._builds) == 1
    with pytest.raises(ParameterError, match='build_engine'):
        trt.open(manifest, path, build_engine='always')


def test_the_pipeline_hands_settings_to_the_backend(machine, monkeypatch):
    manifest, _ = machine.start().model()
    heard = {}

    def hear(manifest, path, **settings):
        heard.update(settings)
        raise EngineMissing('heard')

    monkeypatch.setattr(trt, 'open', hear)

    with ExitStack() as keep, pytest.raises(EngineMissing, match='heard'):
        open_pipeline(manifest, keep, backend='trt', settings={'build_engine': 'if_missing'})
    assert heard == {'build_engine': 'if_missing'}


# ---- an engine that the manifest names


def named(machine, manifest, plan):
    path = machine.folder / 'net.engine'
    path.write_bytes(plan)
    file = ModelFile(path, hashlib.sha256(plan).hexdigest(), backends=('trt',))
    return dataclasses.replace(manifest, files=(file,)), path


def test_an_engine_named_by_the_manifest_is_opened_without_a_cache(machine):
    manifest, path = machine.start().model()
    plan, _ = machine.build(path)
    manifest, path = named(machine, manifest, plan.data)

    machine.open(manifest, path).close()


def test_an_engine_that_is_not_the_one_named_is_not_loaded(machine):
    manifest, path = machine.start().model()
    plan, _ = machine.build(path)
    manifest, path = named(machine, manifest, plan.data)
    path.write_bytes(plan.data + b' ')

    with pytest.raises(ModelError, match='not loaded'):
        machine.open(manifest, path)
    assert machine.trt._loaded == []


def test_an_engine_tensorrt_cannot_read_is_stale(machine):
    manifest, path = named(machine, machine.start().model()[0], b'from another version')

    with pytest.raises(EngineStale, match='magic tag mismatch'):
        machine.open(manifest, path)
    assert not machine.device.contexts


def test_a_full_device_is_no_stale_engine(machine):
    manifest, path = machine.start().model(no_engine='Error Code 2: OutOfMemory (Requested size)')
    plan, _ = machine.build(path)
    manifest, path = named(machine, manifest, plan.data)

    with pytest.raises(OutOfMemory, match='no room for the engine') as failure:
        machine.open(manifest, path)
    assert 'build it' not in str(failure.value)


def test_what_another_engine_could_not_have_is_no_reason_for_this_one(machine):
    manifest, path = named(machine, machine.start().model()[0], b'from another version')
    _trt_words.log(machine.trt).log(machine.trt.ILogger.ERROR, 'Error Code 2: OutOfMemory')

    with pytest.raises(EngineStale, match='magic tag mismatch'):
        machine.open(manifest, path)


def test_a_version_compatible_engine_may_bring_its_own_runtime(machine):
    engine = machine.start().opened(build={'version_compatible': True})

    assert engine._runtime.engine_host_code_allowed
    engine.close()


def test_an_engine_that_is_shipped_may_bring_its_own_runtime(machine):
    manifest, path = machine.start().model()
    plan, _ = machine.build(path, version_compatible=True)
    manifest, path = named(machine, manifest, plan.data)

    machine.open(manifest, path).close()


# ---- how it is built


@pytest.mark.parametrize('version', VERSIONS)
def test_the_graph_says_the_precision_unless_the_version_needs_flags(machine, version):
    _, path = machine.start(version=version).model(layers=['Quantize', 'Half'])

    machine.build(path)

    network, _ = machine.trt._builds[-1]
    if version.startswith('8'):
        assert flags(machine) == {'TF32', 'INT8', 'FP16'}
    else:
        strong = 1 << int(machine.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        assert network._made_with & strong
        assert flags(machine) == {'TF32'}


@pytest.mark.parametrize('version', VERSIONS)
def test_precision_flags_are_offered_where_they_exist(machine, version):
    _, path = machine.start(version=version).model()

    if version.startswith('11'):
        with pytest.raises(ParameterError, match=r'knows no builder flag INT8.*quantize'):
            machine.build(path, precision='int8_fp16')
        return
    _, notes = machine.build(path, precision='int8_fp16')
    assert flags(machine) == {'TF32', 'INT8', 'FP16'}
    assert any('deprecated' in note for note in notes) == (version not in {'8.6.0', '10.3.0'})


def test_options_reach_the_builder(machine):
    _, path = machine.start(integrated=True).model()

    machine.build(
        path,
        tf32=False,
        sparse=True,
        version_compatible=True,
        dla_core=1,
        workspace_mib=64,
        optimization_level=5,
        hardware_compatible='ampere_plus',
    )

    _, config = machine.trt._builds[-1]
    assert flags(machine) == {'SPARSE_WEIGHTS', 'VERSION_COMPATIBLE', 'GPU_FALLBACK'}
    assert config._set['workspace'] == 64 << 20
    assert config.builder_optimization_level == 5
    assert config.DLA_core == 1
    assert config.default_device_type == machine.trt.DeviceType.DLA
    level = machine.trt.HardwareCompatibilityLevel.AMPERE_PLUS
    assert config.hardware_compatibility_level == level


@pytest.mark.parametrize('version', VERSIONS)
def test_a_dla_gets_flags_as_long_as_there_are_some(machine, version):
    _, path = machine.start(version=version, integrated=True).model(layers=['Quantize', 'Half'])

    _, notes = machine.build(path, dla_core=0)

    network, _ = machine.trt._builds[-1]
    strong = getattr(machine.trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    is_strong = strong is not None and bool(network._made_with & 1 << int(strong))
    assert is_strong == version.startswith('11')
    assert ({'INT8', 'FP16'} <= flags(machine)) != is_strong
    assert any('fp16 and int8 only' in note for note in notes)


@pytest.mark.parametrize('version', VERSIONS)
def test_an_old_tensorrt_uses_its_own_kernels_as_later_ones_do(machine, version):
    _, path = machine.start(version=version).model()

    machine.build(path)

    source, said = machine.trt.TacticSource, machine.trt._builds[-1][1]._set
    own = 1 << source.EDGE_MASK_CONVOLUTIONS | 1 << source.JIT_CONVOLUTIONS
    assert said.get('sources') == (own if version.startswith('8') else None)


@pytest.mark.parametrize(('operator', 'taken'), [('Cast', True), ('Transpose', False)])
@pytest.mark.parametrize('version', VERSIONS)
def test_bytes_that_anything_but_a_cast_reads_are_refused_with_the_remedy(
    machine, version, operator, taken
):
    image = {'name': 'images', 'dtype': 'uint8', 'shape': [1, 2, 3, 3], 'read_by': operator}
    _, path = machine.start(version=version).model(inputs=[image])

    if taken:
        machine.build(path)
        return
    with pytest.raises(ModelError, match=r'UINT8.*Transpose reads an input of bytes.*cast first'):
        machine.build(path)


@pytest.mark.parametrize('version', VERSIONS)
def test_the_remedy_for_bytes_is_for_nothing_else(machine, version):
    image = {'name': 'images', 'dtype': 'uint8', 'shape': [1, 2, 3, 3], 'read_by': 'Cast'}
    _, path = machine.start(version=version).model(inputs=[image], unknown=['Foo'])

    with pytest.raises(ModelError, match='Foo') as failure:
        machine.build(path)
    assert 'cast' not in str(failure.value)


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(('opset', 'old_takes_it'), [(17, True), (18, False), (20, False)])
def test_an_opset_that_an_old_parser_misreads_is_refused(machine, version, opset, old_takes_it):
    _, path = machine.start(version=version).model(opset=opset)

    if old_takes_it or not version.startswith('8'):
        machine.build(path)
        return
    with pytest.raises(ModelError, match=rf'opset {opset}, .* 8.6.0 reads up to 17.*convert_ver'):
        machine.build(path)
    assert not machine.trt._builds


def test_a_compatibility_the_version_does_not_know_is_refused(machine):
    _, path = machine.start(version='10.3.0').model()

    with pytest.raises(ParameterError, match='does not know it'):
        machine.build(path, hardware_compatible='same_compute_capability')


def test_an_accelerator_that_is_not_there_is_refused(machine):
    _, path = machine.start().model()

    with pytest.raises(ParameterError, match='has 0 cores'):
        machine.build(path, dla_core=0)


def test_dynamic_sizes_need_a_profile_and_the_message_shows_one(machine):
    _, path = machine.start().model(**DYNAMIC)

    with pytest.raises(ParameterError, match=r'images.*--shapes "images=MIN/OPT/MAX"'):
        machine.build(path)


def test_a_profile_reaches_the_builder(machine):
    _, path = machine.start().model(**DYNAMIC)

    machine.build(path, shapes='images=1x2x2x3/1x4x4x3/1x8x8x3')

    _, config = machine.trt._builds[-1]
    assert config._set['profile']['images'] == [[1, 2, 2, 3], [1, 4, 4, 3], [1, 8, 8, 3]]


@pytest.mark.parametrize(
    'sizes', ['2x2x3/4x4x3/8x8x3', '1x2x2x3/1x4x4x3/1x8x8x4', '1x2x2x3/2x4x4x3/2x8x8x3']
)
def test_a_profile_that_is_not_the_inputs_is_refused(machine, sizes):
    _, path = machine.start().model(**DYNAMIC)

    with pytest.raises(ParameterError, match=r'images is \(1, -1, -1, 3\)'):
        machine.build(path, shapes=f'images={sizes}')
    assert not machine.trt._builds


def test_a_profile_for_an_unknown_tensor_is_refused(machine):
    _, path = machine.start().model()

    with pytest.raises(ParameterError, match="'points'"):
        machine.build(path, shapes='points=1/2/3')


@pytest.mark.parametrize('version', VERSIONS)
def test_timings_are_kept_and_used_again(machine, version):
    _, path = machine.start(version=version).model()
    machine.build(path)
    machine.build(path, workspace_mib=64)

    kept = next(machine.cache.glob('*.timing')).read_bytes()

    assert kept == b'++'  # the fake adds one a build


def test_timings_of_another_device_are_not_used(machine):
    _, path = machine.start().model()
    machine.build(path)
    next(machine.cache.glob('*.timing')).write_bytes(b'other')

    machine.build(path, workspace_mib=64)

    assert next(machine.cache.glob('*.timing')).read_bytes() == b'+'


def test_timings_taken_in_another_power_mode_are_not_used(machine, monkeypatch, tmp_path):
    gpu = tmp_path / 'sys/class/devfreq/17000000.gpu'
    gpu.mkdir(parents=True)
    (tmp_path / 'var/lib/nvpmodel').mkdir(parents=True)
    mode = tmp_path / 'var/lib/nvpmodel/status'
    said = _trt_plans.power
    monkeypatch.setattr(_trt_plans, 'power', lambda root: said(tmp_path))
    _, path = machine.start(integrated=True).model()
    kept = []
    for workspace, (status, clock) in enumerate(
        [('pmode:0000', 1300), ('pmode:0002', 1300), ('pmode:0002', 600)], 64
    ):
        mode.write_text(status)
        (gpu / 'max_freq').write_text(f'{clock}')
        machine.build(path, workspace_mib=workspace)
        kept.append({file.name: file.read_bytes() for file in machine.cache.glob('*.timing')})

    assert [len(files) for files in kept] == [1, 2, 3]
    assert set(kept[-1].values()) == {b'+'}, 'each begins without timings'


def test_progress_is_told_with_phase_and_steps(machine):
    _, path = machine.start().model()
    told = []

    machine.build(path, progress=lambda *said: told.append(said) or True)

    assert [said for said in told if said[0] == 'Building Engine'] == [
        ('Building Engine', done, 2) for done in (0, 1, 2, 2)
    ]
    assert ('Tactic', 0, 1) in told


def test_a_build_without_a_progress_monitor_still_builds(machine):
    _, path = machine.start(version='8.6.0').model()

    machine.build(path, progress=lambda *said: True)

    assert len(machine.trt._builds) == 1


@pytest.mark.parametrize('answer', ['false', 'raise'])
def test_a_build_can_be_cancelled(machine, answer):
    _, path = machine.start().model()

    def progress(*said):
        if answer == 'raise':
            raise KeyboardInterrupt
        return False

    with pytest.raises(ModelError, match='cancelled'):
        machine.build(path, progress=progress)
    assert not list(machine.cache.glob('*.engine'))


def test_a_network_tensorrt_does_not_accept_says_why(machine):
    _, path = machine.start().model()
    path.write_bytes(b'\x32\x02{]')

    with pytest.raises(ModelError, match='Failed to parse'):
        machine.build(path)


def test_weights_in_other_files_are_refused_before_tensorrt_parses(machine):
    _, path = machine.start().model()
    # the model's graph (7) has an initializer (5) with external data (13)
    path.write_bytes(b'\x3a\x04\x2a\x02\x6a\x00')

    with pytest.raises(ModelError, match='other files'):
        machine.build(path)


def test_of_many_parser_errors_the_first_are_shown_and_the_rest_counted(machine):
    _, path = machine.start().model(unknown=[f'Foo_{n}' for n in range(56)])

    with pytest.raises(ModelError) as failure:
        machine.build(path)

    said = str(failure.value)
    assert 'Foo_0' in said
    assert said.count('Foo_') <= 3
    assert 'and 53 more' in said


def test_the_network_is_read_once_so_that_what_is_parsed_is_what_was_digested(
    machine, monkeypatch
):
    _, path = machine.start().model()
    other = path.read_bytes().replace(b'double', b'triple')
    read = Path.read_bytes
    replaced = []

    def and_then_replaced(self):
        data = read(self)
        if self == path:
            replaced.append(path.write_bytes(other))
        return data

    before = hashlib.sha256(read(path)).hexdigest()
    monkeypatch.setattr(Path, 'read_bytes', and_then_replaced)
    plan, _ = machine.build(path)

    assert len(replaced) == 1
    assert plan.key.onnx_sha256 == before
    assert machine.trt._builds[-1][0]._said['program'] == 'double'


@pytest.mark.parametrize(
    ('refusal', 'kind', 'remedy'),
    [
        ('Error Code 2: OutOfMemory (no further information)', OutOfMemory, 'less than'),
        ('Error Code 1: Cuda Runtime (out of memory)', OutOfMemory, 'less than'),
        (
            'Error Code 10: Internal Error (none found due to insufficient workspace memory)',
            ModelError,
            'more than',
        ),
        ('Error Code 10: Internal Error (Could not find any implementation)', ModelError, ''),
        ('memory of a run-out of another kind', ModelError, ''),
    ],
)
def test_a_build_that_fails_says_why_and_what_helps_against_that(machine, refusal, kind, remedy):
    _, path = machine.start().model(refused=refusal)

    with pytest.raises(kind, match=re.escape(refusal)) as failure:
        machine.build(path, workspace_mib=64)
    assert (f'{remedy} --workspace-mib 64' in str(failure.value)) == bool(remedy)
    assert ('--workspace-mib' in str(failure.value)) == bool(remedy)


def test_a_missing_network_is_missing(machine):
    machine.start()

    with pytest.raises(EngineMissing, match=r'gone\.onnx'):
        machine.build(machine.folder / 'gone.onnx')


def test_threads_that_come_at_once_share_one_logger(machine):
    machine.start()
    inside, go_on = threading.Event(), threading.Event()
    made = machine.trt.ILogger.__init__
    first = []

    def slow(logger):
        made(logger)
        if not first:
            first.append(logger)
            inside.set()
            go_on.wait(10)

    machine.trt.ILogger.__init__ = slow
    loggers = []
    threads = [
        threading.Thread(target=lambda: loggers.append(_trt_words.log(machine.trt)))
        for _ in range(2)
    ]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    threads[1].join(0.2)  # where nothing holds it back it is through by then
    go_on.set()
    for thread in threads:
        thread.join()

    assert loggers[0] is loggers[1]


def test_versions_compare_as_numbers():
    class Ten:
        __version__ = '10.3.0'

    assert _trt_build.version(Ten) > (8, 6)


def test_an_anew_build_replaces_the_engine(machine):
    _, path = machine.start().model()
    one, _ = machine.build(path)

    two, _ = machine.build(path, anew=True)

    assert one.sha256 != two.sha256
    assert len(machine.trt._builds) == 2
