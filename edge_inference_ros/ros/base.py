"""A lifecycle node that undoes what it did and says why it could not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, Generic, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.errors import Abandoned, BackendUnavailable, ConfigError, ModelError
from edge_inference_ros.ros import qos
from edge_inference_ros.ros.params import Parameters

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR

SchemaT = TypeVar('SchemaT')


class EdgeNode(LifecycleNode, Generic[SchemaT]):
    """Two stacks, one rule: what configure or activate opens, its opposite closes, in reverse.

    Subclasses implement ``configure`` and ``activate`` and register every resource on the stack
    they are given. There is no cleanup code to forget.

    Attributes:
        fixed_while_configured: parameters of rclpy's own that the node reads when it configures.
        parameters: the node's parameters, declared when it is constructed.
        is_configured: configure has succeeded, or is on its way, and nothing has been cleaned up.
        broken: why the node cannot go on, once it cannot; an active node then goes through
            error processing to unconfigured.
    """

    fixed_while_configured: tuple[str, ...] = ()

    def __init__(self, name: str, schema: type[SchemaT], **options: Any) -> None:
        super().__init__(name, **options)
        self._configured = ExitStack()
        self._active = ExitStack()
        self.is_configured = False
        self.broken: BaseException | None = None
        self.parameters = Parameters(
            self,
            schema,
            locked=lambda: self.is_configured,
            on_change=self.adapt,
            also_fixed=self.fixed_while_configured,
        )

    def configure(self, keep: ExitStack) -> None:
        """Read parameters, load models, create publishers. May take seconds."""

    def activate(self, keep: ExitStack) -> None:
        """Subscribe. Takes no time. Publishers are enabled already."""

    def about(self) -> str:
        """What was configured, for the log; asked after ``configure`` has succeeded."""
        return ''

    def connections(self) -> str:
        """Topics as resolved, for the log; asked after ``activate`` has succeeded."""
        return ''

    def adapt(self, params: SchemaT) -> None:
        """Take over live parameters; called on the executor's thread after they are accepted."""

    def fail(self, error: BaseException) -> None:
        """Leave the active state for error processing. Call it on the executor's thread."""
        self.broken = error
        self.get_logger().error(f'cannot go on: {_text(error)}')
        self.trigger_deactivate()

    def while_open(self, callback: Callable[..., None], keep: ExitStack) -> Callable[..., None]:
        """``callback``, which nobody can call any more once ``keep`` has closed.

        An executor may have taken a message, or noted that a timer is due, before the subscription
        or the timer was destroyed, and calls back all the same. By then what the callback uses is
        gone: a publisher raises ``InvalidHandle``, which would end the process.

        Nor is it an error that a signal shuts the context down meanwhile. What a callback raises,
        such as a publisher without a context, is logged by the executor with a traceback before
        anybody else can catch it.
        """
        closed = threading.Event()
        keep.callback(closed.set)

        @wraps(callback)  # rclpy looks at the signature
        def call(*args: Any) -> None:
            if closed.is_set():
                return
            try:
                callback(*args)
            except Exception:
                if self.context.ok():
                    raise

        return call

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the executor's thread; may be called on any thread.

        A task and no guard condition, which the events executor does not know. An error that
        escaped a task would end that executor with a segmentation fault, so it is logged instead.
        """

        def call() -> None:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - see above
                self.get_logger().error(f'{callback.__name__} failed: {_text(error)}')

        if self.executor is not None:
            self.executor.create_task(call)

    def close(self) -> None:
        """Release everything, whatever state the node is in. Idempotent."""
        self._active.close()
        self._configured.close()
        self.is_configured = False

    def destroy_subscription(self, subscription: Any) -> bool:
        """Destroy it, and let nothing that was noted before be taken from it."""
        qos.retire(subscription)
        return bool(super().destroy_subscription(subscription))

    def destroy_publisher(self, publisher: Any) -> bool:
        """Destroy it, and let nothing that was noted before be taken from it."""
        qos.retire(publisher)
        return bool(super().destroy_publisher(publisher))

    def destroy_node(self) -> None:
        """Release everything first: SIGINT runs no ``on_shutdown``."""
        self.close()
        super().destroy_node()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open what lasts until cleanup."""
        self.broken = None
        self.is_configured = True
        begin_ns = monotonic_ns()
        answer = self._open('configure', self.configure, self._configured)
        self.is_configured = answer is SUCCESS
        if answer is not SUCCESS:
            return answer
        took_s = (monotonic_ns() - begin_ns) / 1e9
        self.get_logger().info(f'configured in {took_s:.1f} s: {self.about()}')
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open what lasts until deactivation."""
        super().on_activate(state)
        answer = self._open('activate', self.activate, self._active)
        if answer is SUCCESS:
            self.get_logger().info(f'active: {self.connections()}')
        else:
            super().on_deactivate(state)
        return answer

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close what activate opened."""
        self._active.close()
        super().on_deactivate(state)
        return ERROR if self.broken else SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close what configure opened."""
        self.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close everything, whatever state we were in."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close everything and return to unconfigured, so an operator can try again."""
        self.close()
        super().on_error(state)
        return SUCCESS

    def _open(
        self, verb: str, build: Callable[[ExitStack], None], stack: ExitStack
    ) -> TransitionCallbackReturn:
        # rclpy turns an exception here into ERROR without logging it
        # (rclpy/lifecycle/node.py, __execute_callback), so the words must come from us.
        try:
            build(stack)
        except (ConfigError, ModelError, BackendUnavailable) as error:
            self.get_logger().error(f'cannot {verb}: {error}')
            answer = FAILURE
        except Exception as error:  # noqa: BLE001 - a transition answers ERROR, it does not raise
            # Without a context anything may fail, and there is nothing to correct.
            if self.context.ok() and not isinstance(error, Abandoned):
                self.get_logger().error(f'failed to {verb}: {_text(error)}')
            answer = ERROR
        else:
            return SUCCESS
        stack.close()
        return answer


def _text(error: BaseException) -> str:
    return f'{type(error).__name__}: {error}'
