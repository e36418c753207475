"""What the kernel says of a processor, and what follows for eight-bit sums."""

import pytest

from edge_inference_ros.machine import processor

HASWELL = 'model name\t: Core of 2013\nflags\t\t: sse4_1 avx avx2 fma\nprocessor : 1\n'


@pytest.mark.parametrize(
    ('machine', 'flags', 'saturates', 'said'),
    [
        ('x86_64', 'sse4_1 avx2', True, 'AVX2 without VNNI'),
        ('x86_64', 'avx2 avx512bw', True, 'AVX-512 without VNNI'),
        ('AMD64', 'avx2 avx512bw avx512_vnni', False, 'AVX-512 VNNI'),
        ('x86_64', 'avx2 avx_vnni', False, 'AVX2 VNNI'),
        ('x86_64', '', True, ''),
        ('aarch64', 'asimd asimddp', False, 'NEON with dot products'),
        ('aarch64', '', False, ''),
    ],
)
def test_only_x86_without_vnni_cuts_sums_off(machine, flags, saturates, said):
    assert processor.pairs_saturate(machine, flags.split()) == saturates
    assert processor.instruction_set(flags.split()) == said


def test_it_reads_what_the_kernel_says(tmp_path):
    path = tmp_path / 'cpuinfo'
    path.write_text(HASWELL)

    assert processor.flags(path) == {'sse4_1', 'avx', 'avx2', 'fma'}
    assert processor.name(path).startswith('Core of 2013, ')
    assert processor.name(path).endswith('AVX2 without VNNI')


def test_an_arm_kernel_calls_them_features(tmp_path):
    path = tmp_path / 'cpuinfo'
    path.write_text('Features\t: asimd asimddp\n')

    assert processor.flags(path) == {'asimd', 'asimddp'}


def test_a_kernel_that_says_nothing_is_no_error(tmp_path):
    assert processor.flags(tmp_path / 'nothing') == frozenset()
    assert processor.name(tmp_path / 'nothing')
