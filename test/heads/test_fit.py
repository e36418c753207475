import cv2
import numpy as np
import pytest
from heads import slow
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.core.manifest import InputSpec
from edge_inference_ros.core.types import CHANNELS, Image
from edge_inference_ros.errors import BadImage
from edge_inference_ros.heads._fit import PADDING, Canvas, fit

WIDTH, HEIGHT = 64, 48
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def spec(layout='nhwc', dtype='uint8', **changes):
    shape = (1, HEIGHT, WIDTH, 3) if layout == 'nhwc' else (1, 3, HEIGHT, WIDTH)
    scaling = {} if dtype == 'uint8' else {'scale': 1 / 255, 'mean': MEAN, 'std': STD}
    return InputSpec('images', shape, dtype, layout, **{**scaling, **changes})


def slowly(image, spec, where):
    """What ``paint`` must write: resize, convert, place on grey, scale, transpose, one by one."""
    small = cv2.resize(
        np.ascontiguousarray(image.pixels), (where.seen_width_px, where.seen_height_px)
    )
    if image.order == 'mono':
        colours = dict.fromkeys('rgb', small)
    else:
        colours = {colour: small[:, :, i] for i, colour in enumerate(image.order)}
    canvas = np.full((HEIGHT, WIDTH, 3), PADDING, np.float64)
    rows = slice(where.top_px, where.top_px + where.seen_height_px)
    columns = slice(where.left_px, where.left_px + where.seen_width_px)
    for channel, colour in enumerate(spec.order):
        canvas[rows, columns, channel] = colours[colour]
    if spec.dtype != 'uint8':
        canvas = (canvas * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    return (canvas if spec.layout == 'nhwc' else canvas.transpose(2, 0, 1))[None]


@pytest.mark.parametrize('layout', ['nhwc', 'nchw'])
@pytest.mark.parametrize('dtype', ['uint8', 'float32', 'float16'])
@pytest.mark.parametrize('how', ['letterbox', 'stretch'])
@pytest.mark.parametrize('order', CHANNELS)
@pytest.mark.parametrize('wanted', ['rgb', 'bgr'])
@pytest.mark.parametrize(
    'size', [(200, 100), (30, 90), (WIDTH, HEIGHT), (3 * WIDTH, 3 * HEIGHT), (5 * WIDTH, 180)]
)
def test_painting_equals_the_slow_way(*, layout, dtype, how, order, wanted, size):
    seen = spec(layout, dtype, fit=how, order=wanted)
    inputs = {'images': np.zeros(seen.shape, dtype)}
    image = slow.image(*size, order=order)

    where = Canvas(seen).paint(image, inputs)

    expected = slowly(image, seen, where)
    tolerance = {'uint8': 0, 'float32': 1e-6, 'float16': 4e-3}[dtype]
    np.testing.assert_allclose(inputs['images'], expected, atol=tolerance)


@pytest.mark.parametrize('layout', ['nhwc', 'nchw'])
def test_padded_and_read_only_rows_are_read_in_place(layout):
    data = np.random.default_rng(0).integers(0, 256, 100 * 700, np.uint8).tobytes()
    pixels = np.ndarray((100, 200, 3), np.uint8, data, 0, (700, 3, 1))
    image = Image(slow.image().origin, pixels, 'bgr')
    inputs = {'images': np.zeros(spec(layout).shape, np.uint8)}

    where = Canvas(spec(layout)).paint(image, inputs)

    np.testing.assert_array_equal(inputs['images'], slowly(image, spec(layout), where))


@pytest.mark.parametrize('size', [(200, 100), (30, 90)])
def test_opencv_resizes_into_the_middle_of_the_input_itself(monkeypatch, size):
    """It would quietly allocate another array if it did not like ours."""
    answers = []
    resize = cv2.resize

    def watched(*args, dst, **options):
        answers.append((resize(*args, dst=dst, **options), dst))
        return answers[-1][0]

    monkeypatch.setattr(cv2, 'resize', watched)
    inputs = {'images': np.zeros(spec().shape, np.uint8)}
    Canvas(spec()).paint(slow.image(*size, order='rgb'), inputs)

    ((answer, dst),) = answers
    assert not dst.flags.c_contiguous or size == (200, 100)
    assert np.shares_memory(answer, inputs['images'])


def test_the_grey_is_written_when_the_geometry_changes_and_only_then():
    canvas = Canvas(spec())
    inputs = {'images': np.zeros(spec().shape, np.uint8)}
    wide, high = slow.image(200, 100), slow.image(30, 90)

    canvas.paint(wide, inputs)
    assert (inputs['images'][0, 0] == PADDING).all()

    inputs['images'][0, 0] = 1
    canvas.paint(wide, inputs)
    assert (inputs['images'][0, 0] == 1).all()

    canvas.paint(high, inputs)
    assert (inputs['images'][0, :, 0] == PADDING).all()
    np.testing.assert_array_equal(
        inputs['images'], slowly(high, spec(), canvas.paint(high, inputs))
    )


def test_another_engines_input_is_painted_in_full():
    canvas = Canvas(spec())
    canvas.paint(slow.image(), {'images': np.zeros(spec().shape, np.uint8)})
    other = {'images': np.zeros(spec().shape, np.uint8)}

    where = canvas.paint(slow.image(), other)

    np.testing.assert_array_equal(other['images'], slowly(slow.image(), spec(), where))


sides = st.integers(1, 5000)


@given(width=sides, height=sides, how=st.sampled_from(['letterbox', 'stretch']))
def test_what_was_fitted_is_undone(width, height, how):
    where = fit(spec(fit=how), width_px=width, height_px=height)
    across, down = where.seen_width_px / width, where.seen_height_px / height
    boxes = np.array([[0, 0, width, height], [width * 0.25, height * 0.5, width * 0.75, height]])
    seen = boxes * (across, down, across, down) + (where.left_px, where.top_px) * 2

    undone = where.undo(seen.astype(np.float32))

    np.testing.assert_allclose(undone, boxes, atol=1e-3 * max(width, height))


@given(width=sides, height=sides, corner=st.booleans())
def test_a_fitted_picture_lies_inside_the_input_and_touches_two_of_its_edges(
    width, height, corner
):
    where = fit(spec(), width_px=width, height_px=height, corner=corner)

    assert 0 <= where.left_px <= WIDTH - where.seen_width_px
    assert 0 <= where.top_px <= HEIGHT - where.seen_height_px
    assert where.seen_width_px == WIDTH or where.seen_height_px == HEIGHT
    assert min(where.seen_width_px, where.seen_height_px) >= 1


def test_undone_boxes_are_clipped_to_the_picture():
    where = fit(spec(), width_px=200, height_px=100)

    undone = where.undo(np.array([[-50, -50, 500, 500]], np.float32))

    assert undone.tolist() == [[0, 0, 200, 100]]


@pytest.mark.parametrize(('width', 'height'), [(0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(width, height):
    with pytest.raises(BadImage, match=f'{width}x{height}'):
        Canvas(spec()).paint(slow.image(width, height), {'images': np.zeros(spec().shape, 'u1')})
