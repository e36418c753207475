"""Offline steps that make a model smaller, faster and proven: one file a step.

Attributes:
    ELSEWHERE: steps whose file lies in another room, by the name a recipe gives them.
"""

_TRAIN = 'edge_inference_ros.train'
ELSEWHERE = {
    **{step: f'{_TRAIN}.{step}' for step in ('distill', 'prune', 'qat')},
    **{f'train_{step}': f'{_TRAIN}.{step}' for step in ('average', 'camera')},
}
