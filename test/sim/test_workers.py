"""Who renders beside us leaves Ctrl-C to us, and we take it as before."""

import signal

from edge_inference_ros.sim.workers import workers


def test_the_processes_ignore_what_interrupts_us():
    before = signal.getsignal(signal.SIGINT)

    with workers(2) as pool:
        assert signal.getsignal(signal.SIGINT) is before
        assert pool.apply(signal.getsignal, (signal.SIGINT,)) == signal.SIG_IGN
