"""Run in a process of its own, beside one version of NVIDIA's bindings: what do they have?

``python genuine_probe.py tensorrt < wanted.json`` prints what is missing, as JSON. ``wanted`` maps
'Class.attribute' to the parameters we pass by name or place, or to null for a plain attribute.
"""

from __future__ import annotations

import importlib
import json
import sys


def lookup(module, dotted):
    thing = module
    for part in dotted.split('.'):
        thing = getattr(thing, part)
    return thing


def overloads(document):
    """The parameter names of every signature in a pybind11 docstring, without self."""
    for line in (document or '').splitlines():
        _, bracket, rest = line.partition('(')
        if not bracket or '->' not in rest or '*args' in rest:
            continue
        inside = rest.rpartition(') ->')[0]
        depth, names, word = 0, [], ''
        for character in inside + ',':
            depth += character in '[(<'
            depth -= character in '])>'
            if character == ',' and not depth:
                names.append(word.split(':', maxsplit=1)[0].strip())
                word = ''
            else:
                word += character
        yield [name for name in names if name not in ('self', '')]


def missing(module, wanted):
    for dotted, parameters in wanted.items():
        try:
            thing = lookup(module, dotted)
        except AttributeError:
            yield dotted
            continue
        if parameters is None:
            continue
        found = list(overloads(thing.__doc__))
        if not any(names[: len(parameters)] == parameters for names in found):
            yield f'{dotted}({", ".join(parameters)}) among {found}'


def our_code_on(trt):
    """Everything of ours that runs without a device, on the genuine module."""
    from edge_inference_ros.backends import _trt_build, _trt_io, _trt_words
    from edge_inference_ros.backends import trt as backend
    from edge_inference_ros.core.engine_options import EngineOptions
    from edge_inference_ros.errors import BackendUnavailable, ParameterError

    sys.modules['tensorrt'] = trt
    assert backend.library() is trt
    log = _trt_words.log(trt)
    log.log(trt.ILogger.ERROR, 'kept')
    log.log(trt.ILogger.WARNING, 'not kept')
    assert log.take() == 'kept'
    for factory in (trt.Builder, trt.Runtime):
        try:
            _trt_build.create(factory, log)
        except BackendUnavailable:
            continue
        raise AssertionError(f'{factory} without a device')
    flags = _trt_build._network_flags(trt, EngineOptions())
    assert flags & 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    try:
        _trt_build._builder_flag(trt, 'FP16', EngineOptions(precision='fp16'))
        knows = True
    except ParameterError:
        knows = False
    assert knows == (_trt_build.version(trt) < (11,))
    told = []
    monitor = _trt_build._monitor(trt, lambda *said: told.append(said) or True)
    monitor.phase_start('phase', None, 2)
    assert monitor.step_complete('phase', 0)
    monitor.phase_finish('phase')
    assert told == [('phase', 0, 2), ('phase', 1, 2), ('phase', 2, 2)]
    assert isinstance(_trt_io.make_allocator(trt, None, None, None), trt.IOutputAllocator)


if __name__ == '__main__':
    kind = sys.argv[1]
    module = importlib.import_module(
        'tensorrt_bindings' if kind == 'tensorrt' else 'cuda.bindings.driver'
    )
    if kind == 'tensorrt':
        our_code_on(module)
    version = getattr(module, '__version__', '')
    json.dump(
        {'version': version, 'missing': list(missing(module, json.load(sys.stdin)))}, sys.stdout
    )
