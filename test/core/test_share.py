"""What ships beside the code is found, and what does not is answered with what does."""

from pathlib import Path

import pytest

from edge_inference_ros.core.share import fingerprint, locate
from edge_inference_ros.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_a_shipped_model_is_found_by_its_name():
    assert locate('models', 'street_tiny') == ROOT / 'models/street_tiny'


def test_a_path_is_taken_as_it_is():
    assert locate('models', '/opt/mine') == Path('/opt/mine')


@pytest.mark.parametrize(
    ('folder', 'name', 'there'),
    [
        ('models', 'street_tyni', 'street_tiny, or give a path'),
        ('config/robots', 'amr.yaml', 'there are humanoid.yaml, indoor_amr.yaml, outdoor_'),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(folder, name, there):
    with pytest.raises(ConfigError) as raised:
        locate(folder, name)

    assert f'{folder}/{name} is in none of {ROOT}' in str(raised.value)
    assert there in str(raised.value)


@pytest.mark.parametrize(
    ('folder', 'name', 'remedy'),
    [
        ('models', 'yolox_tiny', '`edge_inference models get yolox_tiny` fetches it into'),
        ('models', 'street_tny', 'did you mean street_tiny?'),
        ('models', 'yolox_nan', 'did you mean yolox_nano?'),
        ('models', 'mine.onnx', '`edge_inference models add mine.onnx`'),
        ('config/robots', 'humanoids.yaml', 'did you mean humanoid.yaml?'),
    ],
)
def test_the_remedy_is_what_was_most_likely_meant(folder, name, remedy, tmp_path, monkeypatch):
    monkeypatch.setenv('EDGE_INFERENCE_MODELS', str(tmp_path))
    with pytest.raises(ConfigError) as raised:
        locate(folder, name)

    assert remedy in str(raised.value)
    assert (str(tmp_path) in str(raised.value)) == (folder == 'models')


def test_a_fingerprint_follows_the_code():
    assert fingerprint('sim') == fingerprint('sim')
    assert fingerprint('sim') != fingerprint('core')
    assert '/' not in fingerprint('sim')
