"""The commands of docs/models.md run as they stand there, on small networks of each layout."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from optimize import blocks

from edge_inference_ros import cli
from edge_inference_ros.core.manifest import load

pytest.importorskip('onnxruntime', reason='runs the networks')
pytest.importorskip('pycocotools', reason='scores them')
foreign = pytest.importorskip('support.foreign', reason='onnx makes the networks')

PAGE = (Path(__file__).parents[1] / 'docs' / 'models.md').read_text()
NAMES = ('person', 'car', 'dog')
METADATA = {'names': str(dict(enumerate(NAMES))), 'imgsz': '[96, 128]'}


def commands(title):
    """What the first block of commands below a heading says, one list a command."""
    section = re.split(r'^#+ ', PAGE.split(f'### {title}\n')[1], flags=re.MULTILINE)[0]
    (block,) = re.findall(r'```bash\n(.*?)```', section, re.DOTALL)
    lines = block.replace('\\\n', ' ').splitlines()
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def robot_files(tmp_path, monkeypatch):
    """What somebody has who follows the page: a recording, labels, class names."""
    images, labels = blocks.scenes(6)
    blocks.bag(tmp_path / 'my_bag', images)
    blocks.coco(tmp_path / 'my_labels', images, labels)
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    (tmp_path / 'models').mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ('title', 'layout', 'metadata'),
    [
        ('YOLOX', 'yolox', None),
        ('The YOLO family', 'yolov5', METADATA),
        ('The YOLO family', 'yolov8', METADATA),
        ('The YOLO family', 'yolo_end2end', METADATA),
        ('RT-DETR', 'detr', None),
    ],
)
def test_a_foreign_model_goes_from_file_to_judged_int8(robot_files, title, layout, metadata):
    said = commands(title)
    network = Path(said[0][2])
    foreign.network(network, layout, metadata=metadata)

    for command in said:
        if command[:2] == ['optimize', 'build']:  # needs a GPU; its flags at least are right
            cli.parser_of('', cli.steps_of('optimize')['build']).parse_args(command[2:])
            continue
        status = cli.main(command)
        assert status == 0 or (command[1] == 'validate' and status == 1), command

    made = load(robot_files / 'models' / network.stem)
    assert made.head.name == layout
    assert [file.precision for file in made.files] == ['fp32', 'int8', 'int8']
    assert made.files[1].provenance['calibration']['source'] == 'my_bag'
    gate = json.loads((robot_files / 'build' / 'gate' / 'validate.json').read_text())
    assert gate['facts']['pictures'] == gate['facts']['labelled_pictures'] == 6
    assert 'of 24 people' in gate['refused']  # too few to let anything pass
    assert (robot_files / 'build' / 'gate' / 'validate.png').is_file()


def test_what_works_on_a_bare_file_works_on_any(robot_files):
    foreign.network(robot_files / 'pointpillars.onnx', 'yolov8')

    for command in commands('PointPillars'):
        assert cli.main(command) == 0
    assert (robot_files / 'build' / 'pointpillars_fp16.onnx').is_file()
