"""Installs the package where `ros2 run` and `ros2 launch` look for it."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'edge_inference_ros'


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below ``folder``, for the package's share directory."""
    files = (path for path in sorted(Path(folder).rglob('*')) if path.is_file())
    return [(f'share/{NAME}/{path.parent}', [str(path)]) for path in files]


setup(
    name=NAME,
    version='0.2.0',
    description='Latency-stamped perception and a speed-aware watchdog for edge robots',
    license='Apache-2.0',
    maintainer='edge_inference_ros maintainers',
    maintainer_email='maintainers@edge-inference-ros.example',
    packages=find_packages(include=[f'{NAME}*']),
    package_data={NAME: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *shared('launch'),
        *shared('config'),
        *shared('models'),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools', 'numpy', 'opencv-python', 'PyYAML', 'scipy'],
    extras_require={
        'cpu': ['onnxruntime'],
        'get': ['pooch', 'requests'],
        'openvino': ['openvino'],
        'replay': ['rosbags', 'mcap', 'matplotlib'],
        'monitor': ['argcomplete', 'rich', 'textual'],
        'view': ['rerun-sdk'],
        'optimize': [
            'onnx',
            'onnxruntime',
            'onnxscript',
            'torch',
            'torch-pruning',
            'pycocotools',
            'matplotlib',
        ],
        'test': ['pytest', 'hypothesis'],
    },
    tests_require=['pytest'],
    zip_safe=True,
    entry_points={
        'console_scripts': [
            f'camera_detector = {NAME}.nodes.camera_detector:main',
            f'watchdog = {NAME}.nodes.watchdog:main',
            f'edge_inference = {NAME}.cli:main',
        ],
    },
)
