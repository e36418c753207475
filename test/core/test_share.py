"""What ships beside the code is found, and what does not is answered with what does."""

from pathlib import Path

import pytest

from edge_inference_ros.core.share import locate
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
