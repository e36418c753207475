"""What is exported answers as torch does, in operators TensorRT parses."""

import textwrap

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip('torch', reason='exporting needs torch')
pytest.importorskip('onnxscript', reason='the exporter needs onnxscript')

from edge_inference_ros.core.params import build
from edge_inference_ros.errors import ConfigError, SpecMismatch
from edge_inference_ros.optimize.graph import network as onnx_network
from edge_inference_ros.train import export

pytestmark = pytest.mark.train

SOURCE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images):
        return self.conv(images).relu().mean(1)

def network():
    torch.manual_seed(0)
    return Net()
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'net.py'
    path.write_text(textwrap.dedent(SOURCE))
    return path


def exported(source, out, **asked):
    said = {'shape': ['1', '3', '16', '16'], **asked}
    return export.run(source, out, build(export.Params, said))


@pytest.mark.parametrize('opset', [18, 20])
def test_the_graph_has_the_asked_operators_and_no_other_file(source, tmp_path, opset):
    report = exported(source, tmp_path / 'net.onnx', opset=opset)

    network = onnx.load(report.out)
    assert onnx_network.opset(network) == opset <= onnx_network.NEWEST_OPSET
    assert network.ir_version <= onnx_network.NEWEST_IR
    assert network.graph.input[0].name == 'images'
    assert report.facts['difference'] < 1e-5
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != '.py') == ['net.onnx']


def test_axes_may_be_left_to_the_data(source, tmp_path):
    report = exported(source, tmp_path / 'net.onnx', dynamic=['2', '3'])

    session = onnxruntime.InferenceSession(report.out, providers=['CPUExecutionProvider'])
    (answer,) = session.run(None, {'images': np.zeros((1, 3, 24, 40), np.float32)})
    assert answer.shape == (1, 24, 40)


def test_a_saved_program_is_exported(tmp_path, source):
    import torch

    spaces = {}
    exec(SOURCE, spaces)  # noqa: S102 - the text above
    program = torch.export.export(spaces['network']().eval(), (torch.rand(1, 3, 16, 16),))
    torch.export.save(program, tmp_path / 'net.pt2')

    report = exported(tmp_path / 'net.pt2', tmp_path / 'net.onnx')

    assert report.facts['difference'] < 1e-5


def test_a_network_that_answers_differently_is_not_written(tmp_path, source):
    source.write_text(SOURCE.replace('.relu()', '.relu().mul(torch.rand(1))'))

    with pytest.raises(SpecMismatch, match='nothing was written'):
        exported(source, tmp_path / 'net.onnx')
    assert not (tmp_path / 'net.onnx').exists()


def test_what_is_missing_is_named(source, tmp_path):
    with pytest.raises(ConfigError, match='shape'):
        export.run(source, tmp_path / 'o.onnx', build(export.Params, {}))
    with pytest.raises(ConfigError, match='no such file'):
        exported(tmp_path / 'gone.pt2', tmp_path / 'o.onnx')
