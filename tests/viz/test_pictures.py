"""Colours mean what they say; sheets put every picture in its place; films hold every picture or are not there."""

from __future__ import annotations

import os
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mdtk import viz
from mdtk.core.errors import MdtkError
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.viz.film import write_film


def test_magma_runs_from_black_to_pale_yellow_and_brightens():
    table = viz.colour_table("magma")
    assert table[0].max() < 8
    np.testing.assert_allclose(table[255], (252, 253, 191), atol=2)
    brightness = table.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert np.all(np.diff(brightness) > -1)


def test_every_map_has_256_colours_and_unknown_names_are_refused():
    for name in ("magma", "inferno", "viridis", "turbo", "error", "grey"):
        assert viz.colour_table(name).shape == (256, 3)
    with pytest.raises(MdtkError, match="colour map 'jet' is none of magma"):
        viz.colour_table("jet")


def test_colour_map_clips_to_its_range_and_blackens_nan():
    picture = viz.colour_map(np.array([[-5.0, 0.0, 1.0, 2.0, 9.0, np.nan]]), 0.0, 2.0)
    table = viz.colour_table("magma")
    np.testing.assert_array_equal(picture[0], [table[0], table[0], table[128], table[255], table[255], (0, 0, 0)])
    assert viz.colour_map(np.full((2, 2), 3.0), 3.0, 3.0).shape == (2, 2, 3)  # a flat picture divides by nothing


def test_the_nearest_five_percent_share_the_brightest_colour():
    disparity = np.arange(1.0, 101.0).reshape(10, 10)
    lo, hi = viz.disparity_range(disparity)
    assert (lo, hi) == (1.0, pytest.approx(95.05))
    outlier = disparity.copy()
    outlier[0, 0] = 1e6
    assert viz.disparity_range(outlier)[1] < 100
    np.testing.assert_array_equal(viz.colour_disparity(disparity), viz.colour_map(disparity, lo, hi))
    np.testing.assert_array_equal(viz.colour_disparity(disparity, hi=50.0), viz.colour_map(disparity, 1.0, 50.0))


def test_depth_has_the_colours_of_its_inverse():
    depth = np.array([[0.0, 1.0, 2.0, 4.0]])
    picture = viz.colour_depth(depth, 1.0, 4.0)
    np.testing.assert_array_equal(picture[:, 1:], viz.colour_map(1 / depth[:, 1:], 0.25, 1.0))
    np.testing.assert_array_equal(picture[0, 0], viz.UNKNOWN)


def test_error_map_is_relative_and_black_without_truth():
    truth = np.array([[0.0, 10.0, 10.0, 10.0, 10.0]])
    valid = np.array([[True, True, True, True, False]])
    picture = viz.error_map(np.array([[5.0, 10.0, 11.5, 20.0, 10.0]]), truth, 0.3, valid)
    table = viz.colour_table("error")
    np.testing.assert_array_equal(picture[0], [(0, 0, 0), table[0], table[128], table[255], (0, 0, 0)])


def test_grown_points_cover_their_neighbours_worst_first():
    truth, prediction = np.zeros((7, 9)), np.ones((7, 9))
    truth[3, 3] = 1.0
    truth[3, 4] = 0.5  # error 1
    picture = viz.error_map(prediction, truth, 0.3, grow=1)
    table = viz.colour_table("error")
    np.testing.assert_array_equal(picture[2, 2], table[0])
    np.testing.assert_array_equal(picture[3, 3], table[255])
    np.testing.assert_array_equal(picture[3, 6], viz.UNKNOWN)


def test_contact_sheet_puts_each_picture_in_its_cell():
    colours = [[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), None]]
    rows = [[None if c is None else np.full((20, 40, 3), c, np.uint8) for c in row] for row in colours]
    plain = viz.contact_sheet(rows, width=40, gap=4)
    assert plain.shape == (4 + 2 * 24, 2 * 40 + 3 * 4, 3)
    np.testing.assert_array_equal(plain[14, 24], (250, 0, 0))
    np.testing.assert_array_equal(plain[14, 68], (0, 250, 0))
    np.testing.assert_array_equal(plain[38, 24], (0, 0, 250))
    np.testing.assert_array_equal(plain[38, 68], (255, 255, 255))
    titled = viz.contact_sheet(rows, ["frame", "disparity"], ["a", "b"], width=40, gap=4)
    assert titled.shape == (4 + 18 + 2 * (18 + 24), 92, 3)
    assert titled[4:22].min() < 100  # ink
    with pytest.raises(MdtkError, match="at least one picture"):
        viz.contact_sheet([[None]])


def test_captions_fit_any_width():
    strip = viz.text_line("a text far too long for its strip of paper", 60)
    assert strip.shape == (18, 60, 3)
    assert strip[:, -3:].min() == 255
    assert viz.caption(np.zeros((10, 60, 3), np.uint8), "x").shape == (28, 60, 3)


def film_pictures(count: int = 8, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """A grey ramp whose upper left corner is a colour of the picture's own."""
    ramp = np.repeat(np.repeat(np.linspace(0, 200, size[1])[None, :, None], size[0], 0), 3, 2).astype(np.uint8)
    pictures = []
    for number in range(count):
        picture = ramp.copy()
        picture[:24, :24] = (30 * number, 255 - 30 * number, 128)
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_hold_every_picture(tmp_path, suffix):
    pictures = film_pictures()
    path = tmp_path / f"film{suffix}"
    assert write_film(path, iter(pictures), 5.0, pictures) == 8
    with Image.open(path) as film:
        assert film.n_frames == 8
        assert film.info["loop"] == 0
        for number, picture in enumerate(pictures):
            film.seek(number)
            film.load()  # a WebP says a picture's duration only then
            assert film.info["duration"] == 200
            shown = np.asarray(film.convert("RGB")).astype(float)
            assert np.abs(cv2.blur(shown, (5, 5)) - cv2.blur(picture.astype(float), (5, 5))).mean() < 12
            assert np.abs(shown[4:20, 4:20].mean((0, 1)) - picture[10, 10]).max() < 16


@pytest.fixture(params=["ffmpeg", "OpenCV"])
def encoder(request, monkeypatch):
    """The program, where it is installed, and what stands in for it."""
    if request.param == "OpenCV":
        monkeypatch.setattr(shutil, "which", lambda name: None)
    elif not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")


@pytest.mark.usefixtures("encoder")
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_videos_hold_every_picture_and_take_odd_sizes(tmp_path, suffix, capfd):
    pictures = film_pictures(size=(49, 65))
    path = tmp_path / f"film{suffix}"
    assert write_film(path, iter(pictures), 12.5) == 8
    frames = list(read_frames(path))
    assert len(frames) == 8
    assert frames[0].shape == (48, 64, 3)
    assert capfd.readouterr().err == ""
    reader = cv2.VideoCapture(str(path))
    codec = int(reader.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    assert codec.lower() in ("avc1", "h264", "vp90", "vp09"), "browsers play H.264 and VP9"
    for number, frame in enumerate(frames):
        assert np.abs(frame[4:20, 4:20].mean((0, 1)) - pictures[number][10, 10]).max() < 16


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", r"ffmpeg ended early \(without a word\)"),
        (
            "echo 'No space left on device' >&2; exit 1",
            r"film\.mp4 cannot be written: ffmpeg ended early \(No space left",
        ),
    ],
)
def test_a_program_that_fails_is_one_sentence(tmp_path, monkeypatch, script, message):
    """Also where it has closed its end of the pipe before the last picture."""
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\ncase "$*" in *lavfi*) exit 0;; esac\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MdtkError, match=message):
        write_film(tmp_path / "film.mp4", iter(film_pictures(8, size=(480, 640))), 10.0)
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.usefixtures("encoder")
@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.mp4", "film.webm"])
def test_a_film_that_fails_leaves_the_old_one(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")

    def fails():
        yield from film_pictures(3)
        raise MdtkError("frame 4 is damaged")

    with pytest.raises(MdtkError, match="frame 4"):
        write_film(path, fails(), 10.0, film_pictures(1))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    with pytest.raises(MdtkError, match="no pictures"):
        write_film(path, iter([]), 10.0)


def test_films_have_four_suffixes(tmp_path):
    with pytest.raises(MdtkError, match=r"film\.avi: a film is written as \.gif, \.webp, \.mp4 or \.webm"):
        write_film(tmp_path / "film.avi", iter(film_pictures(1)), 10.0)
