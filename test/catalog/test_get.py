"""A published detector is fetched, checked and let in, or refused in a sentence with a remedy."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from edge_inference_ros import cli
from edge_inference_ros.catalog.add import AddParams, add_model
from edge_inference_ros.catalog.get import GetParams, catalogue, get_model
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.share import share
from edge_inference_ros.errors import ConfigError, ModelError

pytest.importorskip('pooch', reason='fetches')
pytest.importorskip('onnxruntime', reason='opens the network')
foreign = pytest.importorskip('support.foreign', reason='onnx makes the network')


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Bytes of a YOLOX of 80 classes."""
    path = foreign.network(tmp_path_factory.mktemp('net') / 'net.onnx', 'yolox', classes=80)
    return path.read_bytes()


class Server:
    """Serves one file on the loopback interface, in the way each test wants."""

    def __init__(self, data):
        self.data, self.way, self.asked = data, 'whole', 0
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked += 1
                getattr(server, server.way)(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.http.server_port}/files/net.onnx'
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def close(self):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def _head(self, handler, length, status=200):
        handler.send_response(status)
        handler.send_header('Content-Length', str(length))
        handler.end_headers()

    def whole(self, handler):
        self._head(handler, len(self.data))
        handler.wfile.write(self.data)

    def cut(self, handler):
        self._head(handler, len(self.data))
        handler.wfile.write(self.data[: len(self.data) // 2])

    def wrong(self, handler):
        self._head(handler, len(self.data))
        handler.wfile.write(self.data[::-1])

    def endless(self, handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(bytes(1 << 16))

    def slow(self, handler):
        self._head(handler, len(self.data))
        handler.wfile.write(self.data[:100])
        handler.wfile.flush()
        self.released.wait(60)

    def gone(self, handler):
        self._head(handler, 0, 404)


@pytest.fixture
def server(network):
    server = Server(network)
    yield server
    server.close()


@pytest.fixture
def place(tmp_path, monkeypatch, server, network):
    """Folders of a person who fetches, and the catalogue."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('EDGE_INFERENCE_MODELS', str(tmp_path / 'own'))
    entry = {
        'url': server.url, 'sha256': hashlib.sha256(network).hexdigest(), 'bytes': len(network),
        'licence': 'Apache-2.0', 'head': 'yolox', 'classes': 'coco80', 'input': '128x96',
        'coco_ap': 25.8,
    }  # fmt: skip
    path = tmp_path / 'catalogue.yaml'
    path.write_text(yaml.safe_dump({'small': entry}))
    return tmp_path


def get(place, **changes):
    said = {'catalogue': str(place / 'catalogue.yaml'), 'silence_s': 30.0, **changes}
    return get_model(Path('small'), GetParams(**said))


def test_a_model_is_fetched_and_let_in_and_its_licence_told_first(place, server, caplog):
    caplog.set_level('INFO')

    report = get(place)

    made = load(place / 'own' / 'small')
    assert (made.head.name, made.licence, made.classes[0]) == ('yolox', 'Apache-2.0', 'person')
    assert (made.input.order, made.input.scale, made.input.rounding) == ('bgr', 1.0, 'down')
    assert report.facts['coco_ap'] == 25.8
    assert 'licence Apache-2.0' in caplog.messages[0]
    assert 'MB' in caplog.messages[0]


def test_what_is_here_is_not_fetched_again(place, server):
    get(place)
    again = get(place)
    (place / 'own' / 'small').rename(place / 'own' / 'other')
    get(place)  # the file is still in the cache

    assert again.notes == ('it is here already',)
    assert server.asked == 1


def test_another_model_of_that_name_is_not_called_the_promised_one(place, tmp_path):
    other = foreign.network(tmp_path / 'other.onnx', 'yolox', classes=80, seed=1)
    add_model(other, AddParams(name='small', head='yolox', classes=('coco80',)))

    with pytest.raises(ConfigError) as refused:
        get(place)

    for word in (hashlib.sha256(other.read_bytes()).hexdigest(), 'own/small', '--folder'):
        assert word in str(refused.value)


def test_a_folder_of_that_name_where_one_stands_is_no_model(place, server, monkeypatch):
    (place / 'small').mkdir()
    monkeypatch.chdir(place)

    assert get(place).notes != ('it is here already',)
    assert server.asked == 1


def test_a_model_named_by_its_path_is_here(place, server, monkeypatch):
    get(place)
    monkeypatch.chdir(place)
    path = Path('own/small')

    again = get_model(path, GetParams(catalogue=str(place / 'catalogue.yaml')))

    assert (again.out, again.notes) == (str(path), ('it is here already',))


def test_a_wrong_file_in_the_downloads_is_named(place, server, caplog):
    wrong = place / 'cache' / 'edge_inference_ros' / 'downloads' / 'net.onnx'
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b'something else')
    found = hashlib.sha256(b'something else').hexdigest()
    server.way = 'gone'

    with pytest.raises(ModelError, match=f'not the file: 14 bytes and SHA-256 {found}'):
        get(place)

    assert found in caplog.text
    server.way = 'whole'
    assert get(place).facts['coco_ap'] == 25.8


@pytest.mark.parametrize(
    ('way', 'words'),
    [
        ('cut', 'cannot be had'),
        ('wrong', 'not the file its digest promises'),
        ('slow', 'timed out'),
        ('gone', '404'),
        ('endless', 'longer than'),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_names_the_way_out(place, server, way, words):
    server.way = way

    with pytest.raises(ModelError, match=words) as caught:
        get(place, silence_s=0.3 if way == 'slow' else 30.0)

    said = str(caught.value)
    assert server.url in said
    assert 'SHA-256' in said
    assert str(place / 'cache' / 'edge_inference_ros' / 'downloads') in said
    assert not list((place / 'cache').rglob('*.onnx'))
    assert not (place / 'own').exists()


def test_of_a_download_that_fails_the_innermost_cause_is_told(place, server):
    path = place / 'catalogue.yaml'
    path.write_text(path.read_text().replace(server.url, 'http://no-such-host.invalid/net.onnx'))

    with pytest.raises(ModelError) as caught:
        get(place)

    cause = str(caught.value).partition('cannot be had: ')[2].partition('. ')[0]
    assert 'HTTPConnectionPool' not in cause
    assert 'resolve' in cause or 'not known' in cause or 'resolution' in cause


def test_without_a_network_the_file_may_be_put_there_by_hand(place, server, network):
    server.way = 'gone'
    folder = place / 'cache' / 'edge_inference_ros' / 'downloads'
    folder.mkdir(parents=True)
    (folder / 'net.onnx').write_bytes(network)

    get(place)

    assert server.asked == 0
    assert load(place / 'own' / 'small').licence == 'Apache-2.0'


def test_an_unknown_name_is_answered_with_those_there_are(place):
    with pytest.raises(ConfigError, match='there are yolox_nano, yolox_tiny, yolox_s'):
        get_model(Path('yolox_mega'), GetParams())


def test_the_shipped_catalogue_is_pinned_and_listed(capsys):
    entries = catalogue(share('models/catalog.yaml'))

    assert cli.main(['models', 'get', '--list']) == 0
    shown = capsys.readouterr().out
    for name, entry in entries.items():
        assert name in shown
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.url.startswith('https://')


@pytest.mark.parametrize(
    ('change', 'words'),
    [({'url': 'file:///etc/passwd'}, 'expected http'), ({'colour': 'red'}, 'colour')],
)
def test_a_catalogue_that_is_wrong_is_named(place, change, words):
    said = yaml.safe_load((place / 'catalogue.yaml').read_text())
    said['small'].update(change)
    (place / 'catalogue.yaml').write_text(yaml.safe_dump(said))

    with pytest.raises(ConfigError, match=words):
        get(place)


def test_a_shipped_model_is_said_to_be_where_it_is(place):
    catalogue_file = str(place / 'catalogue.yaml')
    report = get_model(Path('street_tiny'), GetParams(catalogue=catalogue_file))

    assert report.out == str(share('models/street_tiny'))
