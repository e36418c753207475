"""A very small world and a very small detector for the tests of the steps that train."""

from __future__ import annotations

import torch

from edge_inference_ros.sim.dataset import HELD_OUT, TRAIN, Split, write_split
from edge_inference_ros.train import data, deploy, fit, net

torch.set_num_threads(1)  # the networks are too small for more

WIDE_PX, HIGH_PX = 96, 64
SMALL = net.NetConfig((8, 16, 16, 16, 16), (1, 1, 1, 1), 16, width=WIDE_PX, height=HIGH_PX)
CLASSES = ('person', 'vehicle', 'cone', 'box')


def world(folder, *, train=6, held_out=3):
    """Two labelled splits below ``folder``."""
    for name, count in ((TRAIN, train), (HELD_OUT, held_out)):
        write_split(folder / name, Split(name, count, width=WIDE_PX, height=HIGH_PX))
    return folder


def joined(folder):
    """The training split of a world."""
    return data.Joined([data.Split(folder / TRAIN)])


def detector(seed=0):
    """One that finds something everywhere, and whose normalisations have seen something."""
    made = net.build(SMALL, seed=seed)
    with torch.no_grad():
        for level, (scores, sides) in enumerate(zip(made.classify, made.regress, strict=True)):
            scores[1].bias.fill_(-1.0 - 0.1 * level)
            scores[1].weight.mul_(4)
            sides[1].bias.add_(0.1 * level)
        made.train()
        for _ in range(20):
            made(torch.rand(4, 3, HIGH_PX, WIDE_PX))
    return made.eval()


def model_folder(folder, made=None):
    """A model folder without a checkpoint, as models are shipped."""
    deploy.write_folder(made or detector(), folder, deploy.Card('small', CLASSES, 'a test'))
    return folder


def checkpoint(path, made=None):
    """A checkpoint of a detector that was not trained."""
    fit.save(fit.start(made or detector(), fit.Schedule(1)), path)
    return path


def pictures(count=2, seed=0):
    """(count, 3, H, W) in 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, HIGH_PX, WIDE_PX, generator=generator)


def answers(made, shown):
    """Class logits and raw distances, without gradients."""
    with torch.no_grad():
        return net.flat(made(shown))
