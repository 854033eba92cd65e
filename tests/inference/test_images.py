"""Predictions for images: sizes, values, names that say what a depth is, and where its scale comes from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.image_files import read_grey_png
from mdtk.inference import Predictor, Saves, depth_scale, predict_images
from tests.helpers.stand_in import StandIn

RELATIVE = depth_scale(StandIn().cfg)


def write_image(path, level: int = 128, size: tuple[int, int] = (100, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def ramp(size: tuple[int, int] = (100, 50)) -> Image.Image:
    """A picture that brightens from left to right."""
    row = np.linspace(0, 255, size[0]).round().astype(np.uint8)
    return Image.fromarray(np.repeat(np.repeat(row[None, :, None], size[1], 0), 3, 2))


def test_the_network_sees_the_lanczos_resize_and_the_picture_keeps_its_size():
    model, image = StandIn(), ramp()
    disparity = Predictor(model)(image)
    assert disparity.shape == (50, 100)
    expected = np.asarray(image.resize((64, 32), Image.Resampling.LANCZOS), np.float32).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(model.seen[0][0].numpy(), expected, atol=1e-7)
    np.testing.assert_allclose(disparity[25], 0.1 + 0.9 * np.linspace(0, 1, 100), atol=0.02)


def test_post_processing_averages_with_the_mirrored_picture():
    model = StandIn()
    model.disparity = lambda images: images.new_tensor(np.tile(np.linspace(1, 2, 64), (32, 1)))[None, None]
    pixels = Predictor(model).pixels(ramp())
    plain = Predictor(model).at_network_size(pixels)
    both = Predictor(model, post_process=True).at_network_size(pixels)
    assert plain[0, 20] != pytest.approx(1.5, abs=0.1)
    np.testing.assert_allclose(both[:, 10:-10], 1.5, atol=1e-6)


def test_only_the_coloured_picture_by_default(tmp_path):
    path = write_image(tmp_path / "a.jpg")
    written = predict_images(Predictor(StandIn()), path, None, RELATIVE, Saves())
    assert written == [tmp_path / "a_disp.png"]
    with Image.open(written[0]) as picture:
        assert picture.size == (100, 50)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.jpg", "a_disp.png"]


def test_full_resolution_arrays_and_png_agree_and_name_their_scale(tmp_path):
    ramp().save(tmp_path / "a.png")
    out = tmp_path / "out"
    scale = depth_scale(StandIn().cfg, "2.5")
    predict_images(Predictor(StandIn()), tmp_path / "a.png", out, scale, Saves(npy=True, png16=True))
    names = {entry.name for entry in out.iterdir()}
    assert names == {"a_disp.png", "a_disp.npy", "a_depth_metric.npy", "a_depth_metric.png", "a_depth.json"}
    disparity, depth = np.load(out / "a_disp.npy"), np.load(out / "a_depth_metric.npy")
    assert disparity.shape == depth.shape == (50, 100)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, 2.5 / disparity, rtol=1e-6)
    np.testing.assert_allclose(read_grey_png(out / "a_depth_metric.png", "depth", "") / 256, depth, atol=0.51 / 256)
    with Image.open(out / "a_depth_metric.png") as png:
        assert png.text["scale_source"] == "constant factor 2.5 given by the user"
    note = json.loads((out / "a_depth.json").read_text())
    assert (note["depth_unit"], note["scale_factor"], note["checkpoint_sha256"]) == ("metres", 2.5, "c0ffee")


def test_depth_beyond_sixteen_bits_is_counted_not_wrapped(tmp_path):
    ramp().save(tmp_path / "a.png")
    scale = depth_scale(StandIn().cfg, "1000")
    predict_images(Predictor(StandIn()), tmp_path / "a.png", None, scale, Saves(npy=True, png16=True))
    far = int((np.load(tmp_path / "a_depth_metric.npy") * 256.0 > 65535.5).sum())
    assert json.loads((tmp_path / "a_depth.json").read_text())["png_pixels_beyond_its_range"] == far > 0
    assert read_grey_png(tmp_path / "a_depth_metric.png", "depth", "").max() == 65535


def read_ply(path) -> tuple[list[str], np.ndarray]:
    content = path.read_bytes()
    end = content.index(b"end_header\n") + len(b"end_header\n")
    fields = [(axis, "<f4") for axis in "xyz"] + [(colour, "u1") for colour in ("red", "green", "blue")]
    return content[:end].decode().splitlines(), np.frombuffer(content[end:], fields)


def test_point_cloud_projects_back_to_its_pixels(tmp_path):
    ramp().save(tmp_path / "a.png")
    K = [80.0, 81.0, 50.0, 25.0]
    predict_images(Predictor(StandIn()), tmp_path / "a.png", None, RELATIVE, Saves(npy=True, ply=True), K=K)
    header, points = read_ply(tmp_path / "a_points_relative.ply")
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "element vertex 5000" in header
    depth = np.load(tmp_path / "a_depth_relative.npy")
    u, v = np.meshgrid(np.arange(100), np.arange(50))
    np.testing.assert_allclose(points["z"], depth.ravel(), rtol=1e-6)
    np.testing.assert_allclose(80.0 * points["x"] / points["z"] + 50.0, u.ravel(), atol=1e-4)
    np.testing.assert_allclose(81.0 * points["y"] / points["z"] + 25.0, v.ravel(), atol=1e-4)
    np.testing.assert_array_equal(points["red"], np.asarray(ramp())[..., 0].ravel())


def test_point_cloud_takes_the_camera_of_its_own_training(tmp_path):
    ramp().save(tmp_path / "a.png")
    model = StandIn(NAME="sequence")
    model.cfg.DATA.SEQUENCE.K, model.cfg.DATA.SEQUENCE.K_SIZE = [160.0, 162.0, 100.5, 50.5], [200, 100]
    predict_images(Predictor(model), tmp_path / "a.png", None, RELATIVE, Saves(ply=True, max_depth=2.0))
    _, points = read_ply(tmp_path / "a_points_relative.ply")
    assert 0 < len(points) < 5000
    assert points["z"].max() <= 2.0
    K = json.loads((tmp_path / "a_depth.json").read_text())["K_in_pixels"]
    np.testing.assert_allclose(K, [[80, 0, 50], [0, 81, 25], [0, 0, 1]])
    Image.new("RGB", (60, 60)).save(tmp_path / "square.png")  # another camera: its K is not known
    with pytest.raises(MdtkError, match="--save_ply needs the camera"):
        predict_images(Predictor(model), tmp_path / "square.png", None, RELATIVE, Saves(ply=True))


def test_a_folder_goes_to_a_folder_beside_it_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        write_image(tmp_path / "in" / f"f{number}.png")
    written = predict_images(Predictor(StandIn()), tmp_path / "in", None, RELATIVE, Saves())
    assert written == [tmp_path / "in_disp" / f"f{number}_disp.png" for number in (1, 2, 10)]
    assert len(list((tmp_path / "in").iterdir())) == 3


def test_unreadable_images_of_a_folder_are_named_and_the_rest_written(tmp_path, capsys):
    for number in range(3):
        write_image(tmp_path / "in" / f"f{number}.png")
    (tmp_path / "in" / "f1.png").write_bytes(b"not a png")
    with pytest.raises(MdtkError, match=r"1 of 3 images could not be read \(f1\.png\)"):
        predict_images(Predictor(StandIn()), tmp_path / "in", tmp_path / "out", RELATIVE, Saves())
    assert "f1.png" in capsys.readouterr().err
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["f0_disp.png", "f2_disp.png"]


def test_ext_selects(tmp_path):
    write_image(tmp_path / "in" / "a.png")
    write_image(tmp_path / "in" / "a.jpg")
    with pytest.raises(MdtkError, match="choose one kind with --ext"):
        predict_images(Predictor(StandIn()), tmp_path / "in", None, RELATIVE, Saves())
    assert len(predict_images(Predictor(StandIn()), tmp_path / "in", None, RELATIVE, Saves(), "jpg")) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.png", "--image_path not found"),
        ("empty", "holds no images"),
        ("text.png", r"image cannot be read: .*text\.png"),
        ("walk.mp4", "use tools/test_video.py"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "walk.mp4").write_text("no video")
    with pytest.raises(MdtkError, match=message):
        predict_images(Predictor(StandIn()), tmp_path / name, None, RELATIVE, Saves())


def test_depth_is_metric_only_with_a_source():
    mono, stereo = StandIn().cfg, StandIn(STEREO=True).cfg
    assert not depth_scale(mono).metric
    assert depth_scale(mono).source == "none"
    assert "metres" not in depth_scale(mono).unit
    assert depth_scale(stereo).factor == pytest.approx(5.4)
    assert "stereo baseline: 0.54 m stood for 0.1 units" in depth_scale(stereo).source
    assert not depth_scale(stereo, "none").metric
    true_metres = StandIn(STEREO=True, BASELINE=0.0).cfg
    assert (depth_scale(true_metres).factor, depth_scale(true_metres).metric) == (1.0, True)
    wide = StandIn(STEREO=True, BASELINE=0.54).cfg
    assert depth_scale(wide).factor == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("stereo", "trained without stereo"),
        ("far", "not 'far'"),
        ("-2", "must be positive"),
        ("nan", "must be positive"),
    ],
)
def test_bad_scales(choice, message):
    with pytest.raises(MdtkError, match=message):
        depth_scale(StandIn().cfg, choice)


def test_a_folder_in_its_order_and_an_error_of_the_networks_as_it_is(tmp_path):
    """Decoding, networks and writing have a thread each; what one says reaches the user, and whole files stay."""
    for number in range(6):
        write_image(tmp_path / "frames" / f"{number}.png", 40 * number)
    model = StandIn()
    written = predict_images(Predictor(model), tmp_path / "frames", tmp_path / "out", RELATIVE, Saves(npy=True))
    arrays = [path for path in written if path.name.endswith("_disp.npy")]
    assert [path.name for path in arrays] == [f"{number}_disp.npy" for number in range(6)]
    for number, path in enumerate(arrays):
        np.testing.assert_allclose(np.load(path), 0.1 + 0.9 * 40 * number / 255, atol=1e-6)
    answer = model.disparity

    def failing(images):
        if len(model.seen) == 8:
            raise MdtkError("the device ran out of memory; give a smaller --height")
        return answer(images)

    model.disparity = failing
    with pytest.raises(MdtkError, match="the device ran out of memory"):
        predict_images(Predictor(model), tmp_path / "frames", tmp_path / "second", RELATIVE, Saves())
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == ["0_disp.png", "1_disp.png"]
