"""How to show a network a sample and read its answer: one file an output layout.

What a head outside this package needs too is here under a public name: ``Canvas`` paints pictures
into the input, ``output`` and ``options`` check what the manifest promises, ``Choice`` picks the
boxes worth a look, ``Finish`` suppresses, sorts and maps them back, ``BoxPlace`` says where boxes
are. docs/extending.md has a whole
head made of them.
"""

from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.heads._choose import Choice, best_classes, valid_classes
from edge_inference_ros.heads._finish import Finish
from edge_inference_ros.heads._fit import Canvas, Fit
from edge_inference_ros.heads._layout import ANY, Output, options, output, unit_px

__all__ = [
    'ANY',
    'BoxPlace',
    'Canvas',
    'Choice',
    'Finish',
    'Fit',
    'Output',
    'best_classes',
    'options',
    'output',
    'unit_px',
    'valid_classes',
]
