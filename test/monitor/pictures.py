"""What nodes say, for screens to show."""

from edge_inference_ros.monitor.board import Heard, StatusRow

STAGES_MS = {
    'transport': 1.0,
    'wait': 0.5,
    'view': 0.1,
    'prepare': 0.4,
    'infer': 10.0,
    'decode': 0.5,
    'track': 0.2,
    'publish': 0.3,
}


def latency(*, received=100, superseded=3, rejected=0, failed=0, level=0, message='', **changes):
    """The row of a latency message whose detector counted so many frames."""
    stages = STAGES_MS | changes
    values = {name: f'{ms:.3f}' for name, ms in stages.items()}
    values['sensor_to_output'] = f'{sum(stages.values()):.3f}'
    counts = {
        'received': received,
        'superseded': superseded,
        'rejected': rejected,
        'failed': failed,
    }
    values |= {name: str(count) for name, count in counts.items()}
    values |= {'model': 'street_tiny', 'backend': 'ort', 'digest': 'abc'}
    return StatusRow(level, '/front/camera_detector', message, values)


def freshness(*, state='VALID', age_ms=40.0, deadline_ms=300.0, level=0, limit='1.50', **counts):
    """A heartbeat: the guard's row and that of one source."""
    values = {
        'verdict': 'OK',
        'required': 'true',
        'age_ms': f'{age_ms:.3f}',
        'deadline_ms': f'{deadline_ms:.3f}',
        **{verdict: str(count) for verdict, count in counts.items()},
    }
    motion = {'odometry': 'ok', 'v_assumed_mps': '1.020', 'limit_mps': limit}
    summary = StatusRow(level, 'perception', state, motion)
    return [summary, StatusRow(level, 'detections', state, values)]


def roll_up():
    """The detector's summary of its last frames."""
    values = {f'{name}_p50_ms': f'{ms:.3f}' for name, ms in STAGES_MS.items()}
    values |= {f'{name}_p99_ms': f'{2 * ms:.3f}' for name, ms in STAGES_MS.items()}
    values['wait_p99_ms'] = 'n/a'
    return StatusRow(0, '/front/camera_detector: latency', '', values)


def heard(**changes):
    """One look at a robot on which all is well."""
    said = {
        'latency': {'/front/latency': [latency()]},
        'freshness': {'/front/freshness': freshness()},
        'diagnostics': [roll_up()],
        'locks': {'/front/lock': False},
        'speeds_mps': {'/odom': 1.0},
        'gauges': {'cpu': 0.25},
    }
    return Heard(**(said | changes))
