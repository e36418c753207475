"""Writes a PyTorch network as ONNX and checks that ONNX Runtime answers the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.manifest import Manifest, digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import (
    BackendUnavailable,
    ConfigError,
    ManifestError,
    ModelError,
    SpecMismatch,
)
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize.graph.network import load, save

INPUT, OUTPUT, FILE = 'images', 'output0', 'model.onnx'
_GROWN = 32


@dataclass(frozen=True)
class Params:
    """How the graph is written."""

    weights: str = param('', 'state dict for a network from a .py file', path=True)
    shape: tuple[str, ...] = param(
        (), 'shape of the input of a network from a .py file, such as 1 3 640 640'
    )
    dtype: str = param(
        'float32',
        'number type of the input of a network from a .py file',
        choices=('float32', 'uint8'),
    )
    dynamic: tuple[str, ...] = param((), 'axes of the input that may change size, such as 0 2 3')
    opset: int = param(
        18, 'version of the ONNX operators; TensorRT 10.3 parses up to 20', low=18, high=20
    )
    inputs: tuple[str, ...] = param((INPUT,), 'names of the inputs')
    outputs: tuple[str, ...] = param((OUTPUT,), 'names of the outputs')
    tolerance: float = param(
        1e-3,
        'largest difference between torch and ONNX Runtime, as a share of the largest output',
        low=0.0,
    )
    seed: int = param(
        0, 'seed of the random input on which torch and ONNX Runtime are compared', low=0
    )
    like: str = param(
        '',
        'model folder whose manifest describes the new network too; a model folder is written',
        path=True,
    )


@dataclass(frozen=True)
class Network:
    """A module, an input to trace it with, and the axes that may change."""

    module: Any
    example: Any
    dynamic: tuple[int, ...] = ()


def run(model: Path, out: Path, params: Params) -> Report:
    """Export ``model``.

    Args:
        model: a checkpoint of ours (``.pt``); a program ``torch.export.save`` wrote (``.pt2``),
            whose changing axes are those it was exported with; or a ``.py`` file of yours that
            defines ``network()``, which is run, to which ``weights`` are given.
        out: the ONNX file; the model folder, if ``params.like`` says how one is described.
        params: how.

    Raises:
        BackendUnavailable: torch is not installed.
        ConfigError: no such file, or not one of these.
        SpecMismatch: ONNX Runtime answers differently; nothing is written.
    """
    check(params)
    like = manifests.load(Path(params.like)) if params.like else None
    if like:
        out.mkdir(parents=True, exist_ok=True)
        report = _exported(model, out / FILE, params)
        _describe(out, like)
        return replace(report, out=str(out))
    return _exported(model, out, params)


def _exported(model: Path, out: Path, params: Params) -> Report:
    torch = _torch()
    network = _network_of(torch, model, params)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix('.part.onnx')
    try:
        _write(torch, network, part, params)
        save(load(part), part)
        furthest = max(_difference(torch, network, part, x) for x in _trials(torch, network))
        if furthest > params.tolerance:
            raise SpecMismatch(
                f'{out}: ONNX Runtime differs from torch by {furthest:.3g} of the largest output,'
                f' allowed {params.tolerance:g}; nothing was written'
            )
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    facts: dict[str, Value] = {
        'bytes': out.stat().st_size,
        'sha256': digest(out),
        'opset': params.opset,
        'difference': furthest,
        'torch': str(torch.__version__),
    }
    return Report('export', str(model), str(out), facts)


def _describe(out: Path, like: Manifest) -> None:
    """Write the manifest of ``like`` with the one file there is; figures of others are dropped."""
    table = manifests.read_yaml(like.folder / manifests.FILE_NAME, ManifestError)
    table['files'] = [{'path': FILE, 'precision': 'fp32', 'sha256': digest(out / FILE)}]
    table.pop('accuracy', None)
    _folder.write_manifest(out, table)


def _torch() -> Any:
    try:
        import onnxscript  # noqa: F401 - the exporter needs it
        import torch
    except ImportError as error:
        raise BackendUnavailable(
            f'exporting needs {error.name}; the training requirements bring it: make train-env'
        ) from error
    return torch


def _network_of(torch: Any, model: Path, params: Params) -> Network:
    if not model.is_file():
        raise ConfigError(f'{model}: no such file')
    if model.suffix == '.pt2':
        program = torch.export.load(str(model))
        return Network(program, program.example_inputs[0][0], _axes(program))
    if model.suffix == '.py':
        return _from_file(torch, model, params)
    return _from_checkpoint(torch, model, params)


def _from_file(torch: Any, model: Path, params: Params) -> Network:
    if not params.shape:
        raise ConfigError(
            'shape: a .py file needs the shape of its input, such as --shape 1 3 640 640'
        )
    module = network_of(model, params.weights).eval()
    example = _picture(torch, _numbers('shape', params.shape), params.dtype, params.seed)
    return Network(module, example, _numbers('dynamic', params.dynamic))


def network_of(model: Path, weights: str = '') -> Any:
    """What ``network()`` in a Python file returns, with the weights of a state dict if named.

    Raises:
        ConfigError: no such file, or it has no such function.
    """
    import torch

    if not model.is_file():
        raise ConfigError(f'{model}: no such file')
    spec = importlib.util.spec_from_file_location('network_to_export', model)
    if spec is None or spec.loader is None:
        raise ConfigError(f'{model}: not a Python file')
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    if not hasattr(loaded, 'network'):
        raise ConfigError(f'{model}: defines no function network()')
    module = loaded.network()
    if weights:
        module.load_state_dict(torch.load(weights, map_location='cpu', weights_only=True))
    return module


def _from_checkpoint(torch: Any, model: Path, params: Params) -> Network:
    from edge_inference_ros.train import deploy, fit
    from edge_inference_ros.train.net import Deployed

    try:
        detector = fit.trained(model)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f'{model}: not a checkpoint of ours: {error}') from error
    if params.dynamic:
        raise ConfigError('dynamic: our detectors have one size; train them for another')
    config = detector.config
    example = _picture(torch, (1, config.height, config.width, 3), 'uint8', params.seed)
    module = Deployed(deploy.fused(detector)).to(memory_format=torch.contiguous_format)
    return Network(module.eval(), example)


def _numbers(name: str, words: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in words)
    except ValueError:
        raise ConfigError(f'{name} = {list(words)}: expected whole numbers') from None


def _picture(torch: Any, shape: Sequence[int], dtype: str, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    if dtype == 'uint8':
        return torch.from_numpy(rng.integers(0, 256, shape, np.uint8))
    return torch.from_numpy(rng.random(shape, np.float32))


def _axes(program: Any) -> tuple[int, ...]:
    """The axes of a program's first input that may change."""
    name = program.graph_signature.user_inputs[0]
    node = next(n for n in program.graph.nodes if n.name == name)
    return tuple(i for i, size in enumerate(node.meta['val'].shape) if not isinstance(size, int))


def _write(torch: Any, network: Network, path: Path, params: Params) -> None:
    from edge_inference_ros.train.deploy import hushed

    options: dict[str, Any] = {}
    if network.dynamic and not hasattr(network.module, 'graph_signature'):
        options['dynamic_shapes'] = (dict.fromkeys(network.dynamic, torch.export.Dim.DYNAMIC),)
    with hushed():
        try:
            torch.onnx.export(
                network.module,
                (network.example,),
                str(path),
                input_names=list(params.inputs),
                output_names=list(params.outputs),
                opset_version=params.opset,
                dynamo=True,
                external_data=False,
                verbose=False,
                **options,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            cause = error.__cause__ or error
            raise ModelError(
                f'torch cannot export the network: {type(cause).__name__}: {cause}'
            ) from error


def _trials(torch: Any, network: Network) -> list[Any]:
    """The example, and with changing axes a larger one too."""
    if not network.dynamic:
        return [network.example]
    shape = list(network.example.shape)
    for axis in network.dynamic:
        shape[axis] += _GROWN if shape[axis] >= _GROWN else 1
    dtype = 'uint8' if network.example.dtype == torch.uint8 else 'float32'
    return [network.example, _picture(torch, shape, dtype, 1)]


def _difference(torch: Any, network: Network, path: Path, example: Any) -> float:
    """Largest difference of any output, as a share of that output's largest value."""
    import onnxruntime

    module = network.module.module() if hasattr(network.module, 'module') else network.module
    with torch.no_grad():
        wanted = module(example)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, ['CPUExecutionProvider'])
    given = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    wanted = wanted if isinstance(wanted, (tuple, list)) else [wanted]
    return max(_share(w.numpy(), g) for w, g in zip(wanted, given, strict=True))


def _share(wanted: NDArray[Any], given: NDArray[Any]) -> float:
    if wanted.shape != given.shape:
        return float('inf')
    largest = float(np.abs(wanted).max(initial=0.0)) or 1.0
    return float(np.abs(wanted - given).max(initial=0.0)) / largest
