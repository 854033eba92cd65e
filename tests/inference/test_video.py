"""Films of predictions: every frame above its own disparity, one range of colours, frames streamed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.inference import Predictor, predict_film
from mdtk.inference.video import BAR, Source, _Evenly
from mdtk.viz import colour_map, colour_table
from mdtk.viz.film import ANIMATIONS, FILM_SUFFIXES, write_film
from tests.helpers.stand_in import StandIn

LEVELS = [0, 60, 120, 180, 250]


def flat(level: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.uint8)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "frames"
    path.mkdir()
    for number, level in enumerate(LEVELS):
        Image.fromarray(flat(level)).save(path / f"{number}.png")
    return path


def gif_frames(path) -> list[np.ndarray]:
    frames = []
    with Image.open(path) as film:
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(float))
    return frames


def test_each_frame_above_its_disparity_in_one_range(folder, tmp_path):
    output = tmp_path / "out.gif"
    report = predict_film(Predictor(StandIn()), Source(folder), output)
    assert (report.frames, report.size, report.rate) == (5, (96, 128), 10.0)
    assert report.range[0] == pytest.approx(0.1, abs=1e-3)
    table = colour_table("magma")
    for level, frame in zip(LEVELS, gif_frames(output), strict=True):
        assert frame[:64].mean() == pytest.approx(level, abs=12)
        disparity = 0.1 + 0.9 * level / 255
        place = np.clip((disparity - report.range[0]) / (report.range[1] - report.range[0]), 0, 1)
        expected = table[round(255 * place)].astype(float)  # the same colour for the same disparity in every frame
        assert np.abs(frame[64:].mean((0, 1)) - expected).max() < 12


@pytest.mark.parametrize("suffix", FILM_SUFFIXES)
def test_what_stays_keeps_its_colour_while_the_rest_changes(tmp_path, suffix):
    """Steady over a film: its own range for each frame would repaint the still half at every step."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, level in enumerate([*LEVELS, *LEVELS[::-1]]):
        picture = flat(level)
        picture[:, :48] = 100
        Image.fromarray(picture).save(frames / f"{number}.png")
    output = tmp_path / f"out{suffix}"
    report = predict_film(Predictor(StandIn()), Source(frames), output, bar=True)
    expected = colour_map(np.array([[0.1 + 0.9 * 100 / 255]]), *report.range)[0, 0].astype(float)
    for frame in gif_frames(output) if suffix in ANIMATIONS else read_frames(output):
        still = frame[64 + 8 : 128 - 8, 8:32].mean((0, 1))
        assert np.abs(still - expected).max() < 12


def test_stride_and_limit(folder, tmp_path):
    output = tmp_path / "out.gif"
    assert predict_film(Predictor(StandIn()), Source(folder, stride=2), output).frames == 3
    assert [round(frame[:64].mean() / 60) for frame in gif_frames(output)] == [0, 2, 4]
    report = predict_film(Predictor(StandIn()), Source(folder, stride=2, limit=2), output)
    assert (report.frames, report.rate) == (2, 10.0)
    assert [round(frame[:64].mean() / 60) for frame in gif_frames(output)] == [0, 2]


def test_a_video_keeps_its_rate(tmp_path):
    write_film(tmp_path / "in.mp4", (flat(level) for level in LEVELS), 12.5)
    report = predict_film(Predictor(StandIn()), Source(tmp_path / "in.mp4"), tmp_path / "out.mp4", width=48)
    assert (report.frames, report.size, report.rate) == (5, (48, 64), 12.5)
    faster = predict_film(Predictor(StandIn()), Source(tmp_path / "in.mp4", stride=2), tmp_path / "half.mp4")
    assert (faster.frames, faster.rate) == (3, 6.25)
    means = [frame[:32].mean() for frame in read_frames(tmp_path / "out.mp4")]
    np.testing.assert_allclose(means, LEVELS, atol=12)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".webm"])
def test_a_colour_bar_says_the_range(folder, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    report = predict_film(Predictor(StandIn()), Source(folder), output, width=240, bar=True)
    assert report.size == (240, 2 * 160 + BAR)
    frames = gif_frames(output) if suffix in ANIMATIONS else [frame.astype(float) for frame in read_frames(output)]
    strips = np.stack([frame[-BAR:] for frame in frames])
    assert np.abs(strips - strips[0]).max() < 40  # steady over the film
    brightness = strips[0, BAR // 2].mean(-1)
    ramp = brightness[80:160]
    assert ramp[0] + 60 < ramp[-1]  # dark is far, bright is near
    assert (np.diff(ramp[::8]) > 0).all()
    for words in (strips[0][:, :40], strips[0][:, -40:]):
        assert words.min() < 100 < 200 < words.max()  # ink on paper


def test_a_long_film_keeps_few_frames_spread_evenly():
    kept = _Evenly(4)
    for number in range(1000):
        kept.add(number)
    assert len(kept.items) <= 8
    assert kept.items[0] == 0
    assert len(set(np.diff(kept.items))) == 1  # evenly over the whole stream
    assert kept.items[-1] > 800


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("absent", "out.gif", "--image_path not found"),
        ("frames", "out.avi", r"written as .gif, .webp, .mp4 or .webm"),
        ("empty", "out.gif", "holds no frames"),
        ("note.mp4", "out.gif", r"video cannot be read: .*note\.mp4"),
    ],
)
def test_bad_input_is_one_sentence(folder, tmp_path, source, output, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.mp4").write_text("no video")
    with pytest.raises(MdtkError, match=message):
        predict_film(Predictor(StandIn()), Source(tmp_path / source), tmp_path / output)
    assert not (tmp_path / output).exists()
