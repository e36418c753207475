"""A lifecycle node that undoes what it did and says why it could not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from edge_inference_ros.errors import ConfigError, ModelError

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class EdgeNode(LifecycleNode):
    """Two stacks, one rule: what configure or activate opens, its opposite closes, in reverse.

    Subclasses implement ``configure`` and ``activate`` and register every resource on the stack
    they are given. There is no cleanup code to forget.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._configured = ExitStack()
        self._active = ExitStack()

    def configure(self, keep: ExitStack) -> None:
        """Read parameters, load models, create publishers. May take seconds."""

    def activate(self, keep: ExitStack) -> None:
        """Subscribe. Takes no time."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open what lasts until cleanup."""
        answer = self._open('configure', self.configure, self._configured)
        return super().on_configure(state) if answer is SUCCESS else answer

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open what lasts until deactivation."""
        answer = self._open('activate', self.activate, self._active)
        return super().on_activate(state) if answer is SUCCESS else answer

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close what activate opened."""
        self._active.close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close what configure opened."""
        self._configured.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close everything, whatever state we were in."""
        self._active.close()
        self._configured.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close everything and return to unconfigured, so an operator can try again."""
        self._active.close()
        self._configured.close()
        return super().on_error(state)

    def _open(
        self, verb: str, build: Callable[[ExitStack], None], stack: ExitStack
    ) -> TransitionCallbackReturn:
        # rclpy turns an exception here into ERROR without logging it
        # (rclpy/lifecycle/node.py, __execute_callback), so the words must come from us.
        try:
            build(stack)
        except (ConfigError, ModelError) as error:
            self.get_logger().error(f'cannot {verb}: {error}')
            answer = FAILURE
        except Exception as error:  # noqa: BLE001 - a transition answers ERROR, it does not raise
            self.get_logger().error(f'failed to {verb}: {type(error).__name__}: {error}')
            answer = ERROR
        else:
            return SUCCESS
        stack.close()
        return answer
