"""Preparing Cityscapes: the triplets' pixels and K, going on after interruptions, and what is left out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.prepare.cityscapes_triplets import Options, is_complete, prepare, triplet_path
from mdtk.datasets.readers.cityscapes import CityscapesPrepared

PROJECT = Path(__file__).resolve().parents[3]
CAMERA = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2262.5, "fy": 2265.25, "u0": 1096.5, "v0": 513.25}}


def write_sequence(root, city, sequence, frames, camera=True):
    folder = root / "leftImg8bit_sequence" / "train" / city
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.arange(1024, dtype=np.uint8)[:, None, None] // 8
    for frame in frames:
        pixels = np.broadcast_to(rows + np.uint8(frame), (1024, 2048, 3))
        Image.fromarray(pixels).save(folder / f"{sequence}_{frame:06d}_leftImg8bit.png", compress_level=1)
    if camera:
        path = root / "camera" / "train" / city / f"{sequence}_000019_camera.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(CAMERA))


def run(options, workers=1):
    *_, (done, total, report) = prepare(options, workers)
    assert done == total
    return report


@pytest.fixture
def tree(tmp_path):
    write_sequence(tmp_path / "cs", "ulm", "ulm_000001", range(6))
    return Options(tmp_path / "cs", tmp_path / "out", 64, 128)


def test_triplets(tree):
    report = run(tree)
    assert (report.made, report.there, report.ends, report.skipped) == (2, 0, 4, [])
    path = triplet_path(tree.dump_root, "ulm", "ulm_000001", 3)
    with Image.open(path) as image:
        assert image.size == (128, 3 * 48)
    stored = Image.open(tree.dataset_dir / "leftImg8bit_sequence/train/ulm/ulm_000001_000003_leftImg8bit.png")
    expected = np.asarray(stored.resize((128, 64), Image.Resampling.LANCZOS))[:48]
    reader = CityscapesPrepared(tree.dump_root, ["ulm ulm_000001_000003"])
    before, middle, after = reader.images(0, [-1, 0, 1])
    np.testing.assert_array_equal(np.asarray(middle), expected)
    np.testing.assert_array_equal(np.asarray(before), expected - 2)
    np.testing.assert_array_equal(np.asarray(after), expected + 2)
    np.testing.assert_allclose(
        reader.intrinsics(0, (128, 48)),
        [[2262.5 / 16, 0, 1096.5 / 16], [0, 2265.25 / 16, 513.25 / 16], [0, 0, 1]],
        atol=1e-6,
    )
    text = path.with_name("ulm_000001_000003_cam.txt").read_text()
    assert text == "141.406250,0.,68.531250,0.,141.578125,32.078125,0.,0.,1."


def test_goes_on_with_what_is_missing_or_cut_off(tree):
    run(tree)
    first, second = (triplet_path(tree.dump_root, "ulm", "ulm_000001", frame) for frame in (2, 3))
    kept = first.stat().st_mtime_ns
    whole = second.read_bytes()
    second.write_bytes(whole[:-20])
    leftover = first.with_name(".ulm_000001_000009.123.tmp.png")
    leftover.write_bytes(b"half")
    report = run(tree)
    assert (report.made, report.there) == (1, 1)
    assert first.stat().st_mtime_ns == kept
    assert second.read_bytes() == whole
    assert not leftover.exists()
    second.with_name("ulm_000001_000003_cam.txt").unlink()
    assert run(tree).made == 1


def test_another_size_is_refused(tree):
    run(tree)
    with pytest.raises(MdtkError, match="is 128x144 pixels, these options make 256x288; give another --dump_root"):
        run(Options(tree.dataset_dir, tree.dump_root, 128, 256))


def test_what_is_left_out_is_told(tree):
    write_sequence(tree.dataset_dir, "jena", "jena_000000", range(5), camera=False)
    write_sequence(tree.dataset_dir, "bonn", "bonn_000000", [0, 2, 4, 5, 7])
    broken = tree.dataset_dir / "leftImg8bit_sequence/train/ulm/ulm_000001_000005_leftImg8bit.png"
    broken.write_bytes(broken.read_bytes()[:500])
    report = run(tree)
    assert (report.made, report.ends) == (2, 4 + 4 + 4)
    assert len(report.skipped) == 2
    assert any("jena_000000, 1 frames from 2: no camera file" in reason for reason in report.skipped)
    assert any(f"ulm_000001_000003: image cannot be read: {broken}" in reason for reason in report.skipped)
    assert len((tree.dump_root / "skipped.txt").read_text().splitlines()) == 2
    assert "2 triplets made, 0 were there" in report.describe()[0]
    write_sequence(tree.dataset_dir, "jena", "jena_000000", [])
    write_sequence(tree.dataset_dir, "ulm", "ulm_000001", [5])
    assert run(tree).made == 2
    assert not (tree.dump_root / "skipped.txt").exists()


def test_the_trees_own_lists_go_along(tree):
    own = tree.dataset_dir / "splits" / "cityscapes" / "train_files.txt"
    own.parent.mkdir(parents=True)
    own.write_text("ulm ulm_000001_000002\n")
    run(tree)
    assert (tree.dump_root / "splits" / "cityscapes" / "train_files.txt").read_text() == own.read_text()


def test_missing_tree(tmp_path):
    with pytest.raises(MdtkError, match=r"sequences not found: .*leftImg8bit_sequence/train"):
        run(Options(tmp_path, tmp_path / "out"))
    write_sequence(tmp_path, "ulm", "ulm_000001", [1])
    with pytest.raises(MdtkError, match="no frame with neighbours 2 before and after"):
        run(Options(tmp_path, tmp_path / "out"))


def copy_sequence(root, city, sequence, name):
    """The same frames and camera again, as links: they cost nothing."""
    for path in root.glob(f"*/train/{city}/{sequence}_*"):
        path.with_name(path.name.replace(sequence, name)).hardlink_to(path)


def start(options, workers):
    command = [sys.executable, PROJECT / "tools" / "prepare_cityscapes.py", "--dataset_dir", options.dataset_dir]
    command += ["--dump_root", options.dump_root, "--img_height", options.height, "--img_width", options.width]
    command += ["--seq_length", 3, "--num_threads", workers]
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in a shell's background ignore Ctrl-C
    )


def triplets(options):
    """What is there under its final name; files that are being written begin with a dot."""
    return sorted(options.dump_root.glob("*/[!.]*.png"))


def wait_for_triplets(options, count, process):
    deadline = time.monotonic() + 60
    while len(triplets(options)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


# Workers whose parent was killed end what is queued for them (a sequence each and one more), before they notice: there
# must be work left after that, however fast the machine.
SEQUENCES = 12
TRIPLETS = 4 * SEQUENCES


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_run_again(tmp_path, kind):
    write_sequence(tmp_path / "cs", "ulm", "ulm_000000", range(8))
    for number in range(1, SEQUENCES):
        copy_sequence(tmp_path / "cs", "ulm", "ulm_000000", f"ulm_{number:06d}")
    options = Options(tmp_path / "cs", tmp_path / "out", 512, 1024)
    process = start(options, 2)
    wait_for_triplets(options, 2, process)
    if kind is signal.SIGINT:
        os.killpg(process.pid, kind)  # as a terminal does: to the workers too
    else:
        process.send_signal(kind)
    _, errors = process.communicate(timeout=60)
    if kind is signal.SIGINT:
        assert process.returncode == 130
        assert errors.splitlines()[-1] == "interrupted"
        assert "the same command goes on" in errors
        assert not list(options.dump_root.glob("*/.*"))
    present = triplets(options)
    assert 2 <= len(present) < TRIPLETS
    for path in present:
        assert is_complete(path, options)
    if kind is signal.SIGKILL:
        time.sleep(1.5)  # the workers notice that their parent is gone
    report = run(options)
    assert report.made + report.there == TRIPLETS
    assert report.there >= len(present)
    finished = triplets(options)
    assert len(finished) == TRIPLETS
    for path in finished:
        with Image.open(path) as image:
            image.load()
    assert not list(options.dump_root.glob("*/.*"))
