"""What lens, sensor and weather do to the light before it is a picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.sim.solids import F32, vec
from edge_inference_ros.sim.world import Weather

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Film:
    """How a camera turns light into bytes.

    Attributes:
        brightness: mean its auto-exposure aims at.
        tint: (3,) white-balance error.
        gamma: exponent of the tone curve.
        blur_px: Gaussian sigma of the lens.
        smear_px: length of a horizontal motion blur; under 3 none.
        noise: standard deviation of the sensor noise, 1 is white.
        roll: how much brightness varies from top to bottom.
    """

    brightness: float = 0.42
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 0.95
    blur_px: float = 0.6
    smear_px: int = 0
    noise: float = 0.012
    roll: float = 0.0


def any_film(rng: np.random.Generator, *, foreign: bool = False) -> Film:
    """A random camera; foreign ones are blurrier and noisier."""
    worst = 1.6 if foreign else 1.0
    blue, green, red = rng.uniform(0.88, 1.12, 3).tolist()
    return Film(
        float(rng.uniform(0.25, 0.55)), (blue, green, red), float(rng.uniform(0.75, 1.25)),
        float(rng.uniform(0.25, 1.2)) * worst if rng.random() < 0.6 else 0.0,
        int(rng.integers(3, 9)) if rng.random() < 0.15 else 0,
        float(rng.uniform(0, 0.05)) * worst,
        float(rng.uniform(-0.25, 0.25)) if rng.random() < 0.3 else 0.0,
    )  # fmt: skip


def develop(light: F32, film: Film, weather: Weather, rng: np.random.Generator) -> Picture:
    """Turn light (H, W, 3) into a BGR picture of the same size.

    The sensor noise is a random crop of one fixed field, so that it costs one addition.
    """
    picture = fall(light, weather, rng)
    gain = film.brightness / max(float(picture[::4, ::4].mean()), 0.03)
    picture = picture * (np.float32(min(gain, 5.0)) * vec(*film.tint))
    picture = cv2.pow(np.clip(picture, 0, 2), film.gamma)
    if film.roll:
        rows = np.linspace(1 - film.roll, 1 + film.roll, len(picture), dtype=np.float32)
        picture *= rows[:, None, None]
    if film.blur_px > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), film.blur_px)
    if film.smear_px >= 3:
        picture = cv2.blur(picture, (film.smear_px, 1))
    if film.noise:
        picture = picture + film.noise * _noise(picture.shape, rng)
    return np.asarray(np.clip(picture * 255, 0, 255), np.uint8)


def fall(light: F32, weather: Weather, rng: np.random.Generator) -> F32:
    """Rain as bright slanted streaks, snow as bright flakes of several sizes."""
    if weather.rain:
        light = light + _streaks(light.shape[:2], weather.rain, rng)[..., None]
    if weather.snow:
        light = np.maximum(light, _flakes(light.shape[:2], weather.snow, rng)[..., None])
    return light


def _streaks(shape: tuple[int, ...], amount: float, rng: np.random.Generator) -> F32:
    drops = (rng.random(shape, np.float32) > 1 - 0.02 * amount).astype(np.float32)
    length = max(5, shape[0] // 24)
    kernel = np.zeros((length, length), np.float32)
    lean = int(rng.integers(0, length // 2 + 1))
    cv2.line(kernel, (lean, 0), (length // 2, length - 1), 1.0)
    return np.asarray(cv2.filter2D(drops, -1, kernel) * 0.35, np.float32)


def _flakes(shape: tuple[int, ...], amount: float, rng: np.random.Generator) -> F32:
    sky = np.zeros(shape, np.float32)
    scale = shape[0] / 240
    for _ in range(int(260 * amount)):
        radius = scale * float(rng.uniform(0.3, 1.2) ** 2 + 0.3)
        x, y = int(rng.integers(shape[1])), int(rng.integers(shape[0]))
        cv2.circle(sky, (x, y), max(0, round(radius)), float(rng.uniform(0.6, 1.1)), -1)
    return np.asarray(cv2.GaussianBlur(sky, (0, 0), 0.5 * scale), np.float32)


@functools.lru_cache(maxsize=1)
def _field() -> F32:
    return np.random.default_rng(7).standard_normal(1 << 21, np.float32)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> F32:
    field, size = _field(), int(np.prod(shape))
    if size > len(field) // 2:
        return rng.standard_normal(shape, np.float32)
    start = int(rng.integers(len(field) - size))
    return field[start : start + size].reshape(shape)
