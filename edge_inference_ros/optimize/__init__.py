"""Offline steps that make a model smaller, faster and proven: one file a step.

Attributes:
    ELSEWHERE: steps whose file lies in another room, by the name a recipe gives them.
    RESUMED: those of them that train, and go on from what an interrupted run left.
"""

_TRAIN = 'edge_inference_ros.train'
RESUMED = {
    **{step: f'{_TRAIN}.{step}' for step in ('distill', 'prune', 'qat')},
    **{f'train_{step}': f'{_TRAIN}.{step}' for step in ('average', 'camera')},
}
ELSEWHERE = {**RESUMED, 'export': f'{_TRAIN}.export'}
