"""Every command of the documentation is executed here, or stands in a row that says why not."""

import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from support.robots import GIVEN

from edge_inference_ros import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('models/*.md')])
PROGRAMS = re.compile(
    r'alias|apt|cd|cp|colcon|curl|docker|edge_inference|export|for|git|grep|make|mkdir|nvpmodel|openssl'
    r'|pip3?|python3?|ros2|rosdep|source|sudo|systemctl|V=\$\(curl'
)
SHARE = '$(ros2 pkg prefix --share edge_inference_ros)'

ELSEWHERE = {
    r'models/(yolox_s|yolo11n|rtdetr_r18vd)|(yolox_s|yolo11n|rtdetr_r18vd)\.onnx|pointpillars': (
        'test_walkthroughs.py runs them, but for the build, which needs a GPU'
    ),
    r'optimize (distill|prune|qat)|bench\.distill': 'hours; test/train runs each briefly',
    r'optimize (calibrate|quantize|quantize_mixed|export) .*(mine|street_tiny|checkpoint\.pt)': (
        'needs a network or pictures of your own; test/optimize runs each on small ones'
    ),
    r'models get': 'downloads from its publisher; test_get.py fetches from a server of its own',
    r'edge_inference (top|view|doctor)': 'needs a running graph; test/monitor runs each on one',
    r'edge_inference replay ': 'needs a recording; test/replay runs each step on small ones',
    r'optimize recipe': 'minutes; test_recipe.py runs recipes on small networks',
    r'python -m tools\.security': 'test_policy.py runs it, writing, comparing and the shipped one',
    r'make (env|check|test)': 'what runs these tests',
    r'build/(street|ranges)': 'one builds on the other; test_walkthroughs.py runs such chains',
    r'python -m edge_inference_ros\.nodes': 'test_executables.py starts both nodes',
    r'--picture PHOTOGRAPH': 'needs a model that was fetched; test_shelf.py looks at pictures',
    r'rviz:=true': 'test_viewers.py, with an index that knows RViz',
    r'edge_inference completion': 'test_completion.py',
    r'make demo|edge_inference demo': 'half a minute; test_demo.py drives for two seconds',
    r'make (bench|faults)': 'minutes to hours',
    r'colcon build': '`make colcon` builds both ways and runs every node',
    r'ros2 launch .*bringup.*enclave:=': 'test_launch_files.py, with keys',
    r'ros2 run .*--enclave': 'test_security_faults.py, with keys',
}
"""What other tests execute, by a pattern of the command."""

NOT_HERE = {
    r'^sudo |^apt |rosdep|^curl|^V=\$\(curl|^git clone|pip install': 'changes the machine',
    r'nvpmodel|jetson_clocks|POWER_MODEL|import tensorrt|python3 - <<|/opt/ros/': (
        'only where JetPack or the distribution is'
    ),
    r'tools\.gpu\.device|make gpu-|optimize build|other-backend trt|--backend trt': 'needs a GPU',
    r'ros2 security|nav2_lifecycle_manager|^for node in|ros2 lifecycle': (
        'ros2cli and Nav2 are not among the wheels'
    ),
    r'^mkdir|^cd |^cp |^alias|CUDA_ROOT': 'of the shell',
}
"""What cannot be executed on a machine without GPU, robot or ros2cli."""


def lines(text):
    """Commands of the blocks that hold some: lines joined, comments and heredocs left out."""
    for language, block in re.findall(r'^```(\w*)\n(.*?)^```', text, re.DOTALL | re.MULTILINE):
        if language not in ('', 'sh', 'bash'):
            continue
        block = re.sub(r"(<<'EOF'\n).*?^EOF$", r'\1', block, flags=re.DOTALL | re.MULTILINE)
        for line in block.replace('\\\n', ' ').splitlines():
            command = re.sub(r'\s+#\s.*$', '', re.sub(r'\s+', ' ', line.strip()))
            command = command.removeprefix('.venv/bin/')
            if PROGRAMS.fullmatch(command.split(' ')[0]):
                yield command


COMMANDS = sorted(
    {
        (str(page.relative_to(ROOT)), command)
        for page in PAGES
        for command in lines(page.read_text())
    }
)


def reason(command, rows):
    return next((why for pattern, why in rows.items() if re.search(pattern, command)), '')


def handled(pattern):
    """The commands of a kind that are executed here."""
    return [
        pytest.param(command, id=command[:90])
        for _, command in COMMANDS
        if re.match(pattern, command)
        and not reason(command, NOT_HERE)
        and not reason(command, ELSEWHERE)
    ]


KINDS = {
    'launch': r'ros2 launch edge_inference_ros ',
    'run': r'ros2 run edge_inference_ros (camera_detector|watchdog) ',
    'cli': r'edge_inference (models|optimize) ',
    'export': r'export ',
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in that has what the commands name; answers a command with its paths."""
    pytest.importorskip('onnx', reason='makes the networks')
    from support import foreign

    monkeypatch.chdir(tmp_path)
    for home in ('XDG_CACHE_HOME', 'XDG_DATA_HOME'):
        monkeypatch.setenv(home, str(tmp_path / home))
    (tmp_path / 'cameras.yaml').write_text('cameras: [{namespace: front}, {namespace: rear}]')
    (tmp_path / 'robot.yaml').write_text(yaml.safe_dump({'/**': {'ros__parameters': GIVEN}}))
    (tmp_path / 'FILE.onnx').write_bytes(b'')
    foreign.network(
        tmp_path / 'FILE.onnx',
        'yolov8',
        metadata={'imgsz': '[96, 128]', 'names': "{0: 'a', 1: 'b', 2: 'c'}"},
    )
    model = ROOT / 'models/street_tiny'
    names = {
        SHARE: ROOT,
        '/path/to/FOLDER': model,
        '/path/to/robot.yaml': tmp_path / 'robot.yaml',
        'FOLDER/': f'{model}/',
        'MODEL_1080p': 'model_1080p',
        '~/ws/src/edge_inference_ros': ROOT,
    }

    def put(command):
        for name, path in names.items():
            command = command.replace(name, str(path))
        return shlex.split(re.sub(r'\bMODEL\b', str(model), command))

    return put


def test_every_command_is_executed_or_has_its_reason(record_property):
    here = {param.values[0] for pattern in KINDS.values() for param in handled(pattern)}
    left = [
        (page, command)
        for page, command in COMMANDS
        if command not in here and not reason(command, ELSEWHERE) and not reason(command, NOT_HERE)
    ]
    elsewhere = {command for _, command in COMMANDS if command not in here
                 and not reason(command, NOT_HERE) and reason(command, ELSEWHERE)}  # fmt: skip

    assert left == []
    counts = f'{len(here)} commands run here, {len(elsewhere)} in other tests, of {len(COMMANDS)}'
    record_property('commands', counts)
    assert len(here) >= 14


@pytest.mark.parametrize('command', handled(KINDS['launch']))
def test_a_launch_command_starts_what_it_says(launching, place, command):
    _, _, _, name, *words = place(command)
    if words == ['--show-args']:
        assert launching.arguments(name.removesuffix('.launch.py'))
        return
    given = dict(word.split(':=', 1) for word in words)

    assert launching.read(name.removesuffix('.launch.py'), **given)


def answers(ros, node):
    """Wait until the node turns its executor: before that, a signal interrupts its making."""
    from lifecycle_msgs.srv import GetState

    states = ros.helper.create_client(GetState, f'/{node}/get_state')
    ros.until(states.service_is_ready, deadline_s=60.0, what=node)
    asked = []

    def answered():
        # Asked again and again: the node may not know yet where to send its first answer.
        asked.append(states.call_async(GetState.Request()))
        return any(future.done() for future in asked)

    ros.until(answered, deadline_s=60.0, what=f'{node} to answer')


@pytest.mark.ros
@pytest.mark.parametrize('command', handled(KINDS['run']))
def test_a_node_starts_with_the_command_and_ends_when_told_to(ros, place, command):
    _, _, _, node, *words = place(command)
    child = ros.child('-m', f'edge_inference_ros.nodes.{node}', *words)

    answers(ros, node)
    if 'autostart:=true' in words:
        ros.until(lambda: ros.helper.count_subscribers('odom'), what='the node to be active')
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said


@pytest.mark.parametrize('command', handled(KINDS['cli']))
def test_a_step_does_what_it_is_shown_with(place, command, capsys):
    _, *words = place(command)

    assert cli.main(words) == 0, capsys.readouterr()


@pytest.mark.parametrize('command', handled(KINDS['export']))
def test_what_is_exported_is_there(command):
    script = (
        f'ros2() {{ echo {shlex.quote(str(ROOT))}; }}\n{command.replace(SHARE, str(ROOT))}\nenv'
    )
    run = subprocess.run(['/bin/bash', '-c', script], capture_output=True, text=True, check=True)  # noqa: S603

    for name in re.findall(r'(\w*PROFILES_FILE)=/', run.stdout):
        value = re.search(rf'^{name}=(.*)$', run.stdout, re.MULTILINE)[1]
        assert Path(value).is_file()
    assert run.returncode == 0
