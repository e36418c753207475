"""A drive as a rosbag2 (mcap): what a robot's own recorder would have written."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from edge_inference_ros.core.types import NS_PER_S
from edge_inference_ros.sim.bodies import CLASSES
from edge_inference_ros.sim.camera import Camera
from edge_inference_ros.sim.dataset import too_hard
from edge_inference_ros.sim.drive import Drive, Frame
from edge_inference_ros.sim.lidar import POINT
from edge_inference_ros.sim.solids import F32, vec

CAMERA_FRAME, LIDAR_FRAME, BASE_FRAME, ODOM_FRAME = (
    'camera_optical_frame',
    'lidar',
    'base_link',
    'odom',
)
STRAIGHT = (0.0, 0.0, 0.0, 1.0)
"""The quaternion that turns nothing."""

TOPICS = {
    '/camera/image_raw': 'sensor_msgs/msg/Image',
    '/camera/camera_info': 'sensor_msgs/msg/CameraInfo',
    '/points': 'sensor_msgs/msg/PointCloud2',
    '/odom': 'nav_msgs/msg/Odometry',
    '/tf': 'tf2_msgs/msg/TFMessage',
    '/tf_static': 'tf2_msgs/msg/TFMessage',
    '/truth': 'vision_msgs/msg/Detection2DArray',
    '/truth_3d': 'vision_msgs/msg/Detection3DArray',
}

# vision_msgs 4.1, https://github.com/ros-perception/vision_msgs, without its comments.
VISION_MSGS = {
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y\n',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta\n',
    'vision_msgs/msg/BoundingBox2D': (
        'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n'
    ),
    'vision_msgs/msg/BoundingBox3D': ('geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n'),
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'vision_msgs/msg/ObjectHypothesisWithPose': (
        'vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n'
    ),
    'vision_msgs/msg/Detection2D': (
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox2D bbox\nstring id\n'
    ),
    'vision_msgs/msg/Detection3D': (
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox3D bbox\nstring id\n'
    ),
    'vision_msgs/msg/Detection2DArray': (
        'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n'
    ),
    'vision_msgs/msg/Detection3DArray': (
        'std_msgs/Header header\nvision_msgs/Detection3D[] detections\n'
    ),
}


def typestore() -> Any:
    """ROS 2 Jazzy's message types with those of vision_msgs."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VISION_MSGS.items():
        store.register(get_types_from_msg(text, name))
    return store


def write_drive(
    path: Path,
    *,
    seconds: float = 60.0,
    seed: int = 0,
    speed_mps: float = 1.5,
    rate_hz: float = 10.0,
    foreign: bool = False,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Drive:
    """Render a drive and write it as a bag; see `TOPICS` for what is in it.

    Args:
        path: the bag's folder; one that exists is replaced once the new one is whole.
        seconds: length.
        seed: the same seed gives the same messages.
        speed_mps: the most the robot drives.
        rate_hz: frames per second.
        foreign: other textures, weather or night.
        processes: how many render; the bag does not depend on it.
        progress: called with the number of frames done and in all.

    Returns:
        The drive that was written.
    """
    drive = Drive(seed, seconds, rate_hz, speed_mps, foreign=foreign)
    half = path.with_name(path.name + '.part')
    shutil.rmtree(half, ignore_errors=True)
    half.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_frames(half, drive, processes=processes, progress=progress)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    half.rename(path)
    stem = half.name
    inner = path / f'{stem}.mcap'
    inner.rename(path / f'{path.name}.mcap')
    metadata = path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace(f'{stem}.mcap', f'{path.name}.mcap'))
    return drive


def write_frames(
    path: Path,
    drive: Drive,
    *,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a drive's frames into a new bag at `path`."""
    store = typestore()
    messages = Messages(store, drive)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=store)
            for topic, kind in TOPICS.items()
        }
        for done, frame in enumerate(drive.frames(processes=processes), 1):
            for topic, message in messages.of(frame, first=done == 1):
                raw = store.serialize_cdr(message, TOPICS[topic])
                writer.write(connections[topic], frame.stamp_ns, raw)
            if progress is not None:
                progress(done, len(drive))


class Messages:
    """Turns frames into messages of a typestore."""

    def __init__(self, store: Any, drive: Drive) -> None:
        self._kinds = store.types
        self._drive = drive

    def of(self, frame: Frame, *, first: bool) -> Iterator[tuple[str, Any]]:
        """Topic and message pairs of one frame; all bear its stamp."""
        if first:
            yield '/tf_static', self._static(frame.stamp_ns)
        yield '/tf', self._odom_to_base(frame)
        yield '/odom', self._odometry(frame)
        yield '/camera/camera_info', self._camera_info(frame.stamp_ns)
        yield '/camera/image_raw', self._image(frame)
        yield '/points', self._points(frame)
        yield '/truth', self._truth(frame)
        yield '/truth_3d', self._truth_3d(frame)

    def _make(self, kind: str, *values: Any) -> Any:
        return self._kinds[kind](*values)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        time = self._make('builtin_interfaces/msg/Time', *divmod(stamp_ns, NS_PER_S))
        return self._make('std_msgs/msg/Header', time, frame_id)

    def _vector(self, xyz: Iterable[float], kind: str = 'Vector3') -> Any:
        return self._make(f'geometry_msgs/msg/{kind}', *(float(v) for v in xyz))

    def _pose(self, xyz: Any, quaternion: tuple[float, ...]) -> Any:
        turn = self._make('geometry_msgs/msg/Quaternion', *quaternion)
        return self._make('geometry_msgs/msg/Pose', self._vector(xyz, 'Point'), turn)

    def _transform(
        self, stamp_ns: int, parent: str, child: str, xyz: Any, quaternion: tuple[float, ...]
    ) -> Any:
        turn = self._make('geometry_msgs/msg/Quaternion', *quaternion)
        moved = self._make('geometry_msgs/msg/Transform', self._vector(xyz), turn)
        header = self._header(stamp_ns, parent)
        return self._make('geometry_msgs/msg/TransformStamped', header, child, moved)

    def _static(self, stamp_ns: int) -> Any:
        camera, lidar = self._drive.camera, self._drive.lidar
        return self._make('tf2_msgs/msg/TFMessage', [
            self._transform(stamp_ns, BASE_FRAME, CAMERA_FRAME, camera.mount_m,
                            quaternion_of(camera.in_base())),
            self._transform(stamp_ns, BASE_FRAME, LIDAR_FRAME, lidar.mount_m, STRAIGHT),
        ])  # fmt: skip

    def _odom_to_base(self, frame: Frame) -> Any:
        pose = frame.pose
        return self._make('tf2_msgs/msg/TFMessage', [
            self._transform(frame.stamp_ns, ODOM_FRAME, BASE_FRAME, (pose.x_m, pose.y_m, 0.0),
                            yaw_quaternion(pose.yaw_rad)),
        ])  # fmt: skip

    def _odometry(self, frame: Frame) -> Any:
        pose, twist, none = frame.pose, frame.twist, np.zeros(36)
        where = self._pose((pose.x_m, pose.y_m, 0.0), yaw_quaternion(pose.yaw_rad))
        moving = self._make(
            'geometry_msgs/msg/Twist', self._vector((twist.forward_mps, 0.0, 0.0)),
            self._vector((0.0, 0.0, twist.turn_radps)),
        )  # fmt: skip
        return self._make(
            'nav_msgs/msg/Odometry', self._header(frame.stamp_ns, ODOM_FRAME), BASE_FRAME,
            self._make('geometry_msgs/msg/PoseWithCovariance', where, none),
            self._make('geometry_msgs/msg/TwistWithCovariance', moving, none),
        )  # fmt: skip

    def _camera_info(self, stamp_ns: int) -> Any:
        camera = self._drive.camera
        k = intrinsics(camera)
        p, do_rectify = np.hstack((k, np.zeros((3, 1)))), False
        region = self._make('sensor_msgs/msg/RegionOfInterest', 0, 0, 0, 0, do_rectify)
        return self._make(
            'sensor_msgs/msg/CameraInfo', self._header(stamp_ns, CAMERA_FRAME), camera.height,
            camera.width, 'plumb_bob', np.zeros(5), k.ravel(), np.eye(3).ravel(), p.ravel(),
            0, 0, region,
        )  # fmt: skip

    def _image(self, frame: Frame) -> Any:
        high, wide = frame.image.shape[:2]
        return self._make(
            'sensor_msgs/msg/Image', self._header(frame.stamp_ns, CAMERA_FRAME), high, wide,
            'bgr8', 0, 3 * wide, frame.image.reshape(-1),
        )  # fmt: skip

    def _points(self, frame: Frame) -> Any:
        number = {'<f4': 7, '<u2': 4}
        fields = []
        for name in POINT.names or ():
            kind, offset = POINT.fields[name][:2]  # type: ignore[index]
            fields.append(
                self._make('sensor_msgs/msg/PointField', name, offset, number[kind.str], 1)
            )
        cloud, big_endian, dense = frame.cloud, False, True
        return self._make(
            'sensor_msgs/msg/PointCloud2', self._header(frame.stamp_ns, LIDAR_FRAME), 1,
            len(cloud), fields, big_endian, POINT.itemsize, POINT.itemsize * len(cloud),
            np.frombuffer(cloud.tobytes(), np.uint8), dense,
        )  # fmt: skip

    def _detection(self, row: int, frame: Frame, pose: Any) -> Any:
        name = CLASSES[int(frame.truth.class_id[row])]
        hypothesis = self._make('vision_msgs/msg/ObjectHypothesis', name, 1.0)
        where = self._make('geometry_msgs/msg/PoseWithCovariance', pose, np.zeros(36))
        return self._make('vision_msgs/msg/ObjectHypothesisWithPose', hypothesis, where)

    def _truth(self, frame: Frame) -> Any:
        """What a detector should report; the pose is the thing's, in the camera's frame."""
        truth, camera = frame.truth, self._drive.camera
        header = self._header(frame.stamp_ns, CAMERA_FRAME)
        shown = np.flatnonzero(~too_hard(truth, camera.height))
        in_camera = (truth.centres_m - vec(*camera.mount_m)) @ camera.in_base()
        detections = []
        for row in shown.tolist():
            x1, y1, x2, y2 = truth.boxes_px[row].tolist()
            middle = self._make('vision_msgs/msg/Point2D', (x1 + x2) / 2, (y1 + y2) / 2)
            centre = self._make('vision_msgs/msg/Pose2D', middle, 0.0)
            box = self._make('vision_msgs/msg/BoundingBox2D', centre, x2 - x1, y2 - y1)
            detection = self._detection(row, frame, self._pose(in_camera[row], STRAIGHT))
            detections.append(self._make(
                'vision_msgs/msg/Detection2D', header, [detection], box, str(truth.actor[row])
            ))  # fmt: skip
        return self._make('vision_msgs/msg/Detection2DArray', header, detections)

    def _truth_3d(self, frame: Frame) -> Any:
        """Every body with at least one LiDAR point, in the LiDAR's frame."""
        truth, header = frame.truth, self._header(frame.stamp_ns, LIDAR_FRAME)
        centres = truth.centres_m - vec(*self._drive.lidar.mount_m)
        detections = []
        for row in np.flatnonzero(truth.points).tolist():
            pose = self._pose(centres[row], yaw_quaternion(float(truth.yaws_rad[row])))
            size = self._vector(truth.sizes_m[row])
            box = self._make('vision_msgs/msg/BoundingBox3D', pose, size)
            detection = self._detection(row, frame, pose)
            detections.append(self._make(
                'vision_msgs/msg/Detection3D', header, [detection], box, str(truth.actor[row])
            ))  # fmt: skip
        return self._make('vision_msgs/msg/Detection3DArray', header, detections)


def intrinsics(camera: Camera) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(3, 3) camera matrix; pixel centres lie at whole numbers, as ROS has it."""
    f = camera.focal_px
    return np.array(
        [[f, 0, camera.width / 2 - 0.5], [0, f, camera.height / 2 - 0.5], [0, 0, 1]], np.float64
    )


def yaw_quaternion(yaw_rad: float) -> tuple[float, float, float, float]:
    """Quaternion (x, y, z, w) of a turn about z."""
    return 0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)


def quaternion_of(turn: F32) -> tuple[float, float, float, float]:
    """Quaternion (x, y, z, w) of a rotation matrix (3, 3), from its largest component."""
    m = np.asarray(turn, np.float64)
    x, y, z = m[0, 0], m[1, 1], m[2, 2]
    squares = np.array([1 + x - y - z, 1 - x + y - z, 1 - x - y + z, 1 + x + y + z])
    products = np.array([
        [0, m[1, 0] + m[0, 1], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
        [0, 0, m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
        [0, 0, 0, m[1, 0] - m[0, 1]],
        [0, 0, 0, 0],
    ])  # fmt: skip
    products = products + products.T + np.diag(squares)
    row = products[int(squares.argmax())]
    a, b, c, d = (row / np.linalg.norm(row)).tolist()
    return a, b, c, d
