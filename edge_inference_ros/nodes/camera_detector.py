"""Camera pictures in, 2D detections with their latency out."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMsg
from vision_msgs.msg import Detection2DArray, LabelInfo
from visualization_msgs.msg import ImageMarker

from edge_inference_ros.core import overlay, registry
from edge_inference_ros.core.image_health import MOVING_MPS, ImageHealth
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.pipeline import Prediction
from edge_inference_ros.core.types import Detections2D, Image, Origin, Tracked
from edge_inference_ros.errors import BadStamp
from edge_inference_ros.machine.quota import cores
from edge_inference_ros.nodes import padding
from edge_inference_ros.nodes.camera_params import CameraDetectorParams
from edge_inference_ros.nodes.detector import Detector
from edge_inference_ros.ros import bridge, process, qos
from edge_inference_ros.ros.messages import OK, WARN, box_lines, header_msg, label_info
from edge_inference_ros.ros.odometry import read_odometry
from edge_inference_ros.ros.wire import Detections2DWriter

_FORMS = {
    'raw': (ImageMsg,),
    'compressed': (CompressedImage,),
    'auto': (ImageMsg, CompressedImage),
}
_SENSORS = {ImageMsg: 'image', CompressedImage: 'compressed'}
_TO_BGR = {
    'rgb': cv2.COLOR_RGB2BGR,
    'rgba': cv2.COLOR_RGBA2BGR,
    'bgra': cv2.COLOR_BGRA2BGR,
    'mono': cv2.COLOR_GRAY2BGR,
}


_LINE_PX = 2.0


class CameraDetector(Detector):
    """Subscribes to ``image``, publishes ``detections``, ``latency`` and ``label_info``.

    Where there is ``odom`` it also notices pictures that stand still while the robot moves.
    """

    output_type = Detection2DArray

    def __init__(self, **options: Any) -> None:
        super().__init__('camera_detector', CameraDetectorParams, **options)

    def configure(self, keep: ExitStack) -> None:
        """Choose the sensor views; the rest is every detector's."""
        self._kinds = _FORMS[self.parameters.current.transport]
        self._keep_to_our_cores()
        self._views = {kind: self._view(kind) for kind in self._kinds}
        for warning in bridge.warnings():
            self.get_logger().warning(warning)
        self._overlay = self.advertise(keep, ImageMsg, '~/overlay')
        self._annotations = self.advertise(keep, ImageMarker, '~/annotations')
        self._labels = self.advertise(
            keep, LabelInfo, 'label_info', profile=qos.latched(), create=self.create_publisher
        )
        self._health, self._moving, self._size_px = ImageHealth(), False, (0, 0)
        super().configure(keep)
        self._label()

    def _view(self, kind: type[Any]) -> Callable[[Any, Origin], Image]:
        sensor = registry.load('sensors', _SENSORS[kind])
        if kind is ImageMsg:
            return bridge.AnyImage(sensor, self.get_logger().info)
        view: Callable[[Any, Origin], Image] = sensor.view
        return view

    def _keep_to_our_cores(self) -> None:
        """OpenCV counts the cores of the host, or those of an older kind of control group."""
        granted = cores()
        if cv2.getNumThreads() > granted:
            cv2.setNumThreads(granted)
            self.get_logger().info(
                f'OpenCV works with {granted} threads: as many cores may this process use'
            )

    def adapt(self, params: CameraDetectorParams) -> None:
        """Take over a new score threshold, and say so to who reads the labels."""
        super().adapt(params)
        if self.is_configured:
            self._label()

    def _label(self) -> None:
        threshold = self._pipeline.head.spec.score_threshold
        self._labels.publish(label_info(self.manifest.classes, threshold))

    def activate(self, keep: ExitStack) -> None:
        """Listen to the camera and to how the robot moves."""
        super().activate(keep)
        odometer = qos.subscribe(
            self,
            Odometry,
            'odom',
            self.while_open(self._moved, keep),
            qos=qos.sensor(),
            raw=True,
            on_mismatch=self._mismatched,
        )
        keep.callback(self.destroy_subscription, odometer)

    def input(self) -> tuple[Sequence[type[Any]], str]:
        """``image``, in the forms the parameter ``transport`` allows."""
        return self._kinds, 'image'

    def remedies(self) -> Mapping[str, str]:
        """The other form of a picture asks for another ``transport``."""
        forms = {kind: form for form, kinds in _FORMS.items() for kind in kinds if form != 'auto'}
        return {
            f'sensor_msgs/msg/{kind.__name__}': f'set the parameter transport to {form} or auto'
            for kind, form in forms.items()
            if kind not in self._kinds
        }

    def view(self, msg: Any, origin: Origin) -> Image:
        """See an Image or CompressedImage message as a picture."""
        image: Image = self._views[type(msg)](msg, origin)
        return image

    def look(self, sample: Image) -> None:
        """Notice a camera that is covered, broken or stuck, or that does not suit the network."""
        self._health.look(sample.pixels, moving=self._moving)
        if (size_px := sample.pixels.shape[1::-1]) != self._size_px:
            self._size_px, (width_px, height_px) = size_px, size_px
            if words := padding.advice(
                self.manifest.input, width_px=width_px, height_px=height_px
            ):
                self.get_logger().warning(words)

    def condition(self) -> tuple[int, str]:
        """What is wrong with the pictures: nothing found in such a one is no clear road."""
        health = self._health
        words = f'IMAGE_HEALTH {health.fault.value}' if health.fault else ''
        return int(health.level), words

    def beside(self) -> Iterator[tuple[int, str, str]]:
        """Odometry: one can see without it, but not notice everything."""
        lost = 'a camera that shows one picture for ever goes unnoticed'
        words = qos.unheard(self, 'odom', Odometry, lost)
        yield WARN if words else OK, 'odom', words

    def _moved(self, data: bytes) -> None:
        try:
            vx, vy, *_ = read_odometry(data).twist
        except BadStamp:  # bytes that are no odometry say nothing of motion
            return
        self._moving = math.hypot(vx, vy) > MOVING_MPS

    def writer(self, manifest: Manifest) -> Callable[[Tracked[Detections2D]], bytes]:
        """vision_msgs/Detection2DArray, straight to its serialised form."""
        return Detections2DWriter(manifest.classes)

    def show(self, sample: Image, prediction: Prediction[Detections2D]) -> None:
        """Publish the picture with its boxes, and the boxes alone, each if anybody looks."""
        if self._annotations.get_subscription_count():
            found = prediction.tracked.found
            colours = [overlay.colour(index) for index in found.class_ids.tolist()]
            header, boxes = header_msg(sample.origin), found.boxes_px.tolist()
            self._annotations.publish(box_lines(header, boxes, colours, wide_px=_LINE_PX))
        if not self._overlay.get_subscription_count():
            return
        picture = _bgr(sample)
        found = prediction.tracked.found
        names = self.manifest.classes
        rows = zip(
            found.boxes_px.tolist(),
            found.class_ids.tolist(),
            found.scores.tolist(),
            prediction.tracked.ids.tolist(),
            strict=True,
        )
        overlay.draw(
            picture,
            ((tuple(box), i, f'{names[i]} {score:.2f} #{track}') for box, i, score, track in rows),
            caption=f'{prediction.timing.total_ns / 1e6:.1f} ms since received',
        )
        self._overlay.publish(bridge.bgr_image(header_msg(sample.origin), picture))


def _bgr(image: Image) -> NDArray[np.uint8]:
    """A contiguous (H, W, 3) bgr copy to draw on."""
    if image.order == 'bgr':
        return np.array(image.pixels, order='C')
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image.pixels), _TO_BGR[image.order]))


def main() -> int:
    """Run the node as a process."""
    return process.run(CameraDetector)


if __name__ == '__main__':
    sys.exit(main())
