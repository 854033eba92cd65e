"""Videos are read in order, and extracted once, completely or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mdtk.config import default_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.sequence import video_frames as video
from mdtk.datasets.sequence.video_frames import extract_frames, frame_rate, read_frames
from tests.helpers.tiny import open_sequence


def picture(number: int) -> np.ndarray:
    """A smooth RGB picture whose bright band shows its number."""
    x = np.arange(96)
    row = 128 + 100 * np.sin((x + 6 * number) / 15.0)
    return np.repeat(np.repeat(row[None, :, None], 64, 0), 3, 2).astype(np.uint8)


def write_video(path: Path, count: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12.5, (96, 64))
    for number in range(count):
        writer.write(picture(number))
    writer.release()
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path / "home"))
    return tmp_path / "home"


def test_frames_come_in_order(tmp_path):
    path = write_video(tmp_path / "walk.mp4")
    frames = list(read_frames(path))
    assert len(frames) == 12
    for number, frame in enumerate(frames):
        errors = [np.abs(frame.astype(int) - picture(other)).mean() for other in range(12)]
        assert int(np.argmin(errors)) == number
    assert frame_rate(path) == pytest.approx(12.5)


def test_extracted_once_and_equal_to_the_video(tmp_path, monkeypatch):
    path = write_video(tmp_path / "walk.mp4")
    folder = extract_frames(path)
    stored = [np.asarray(Image.open(file)).astype(int) for file in sorted(folder.iterdir())]
    assert len(stored) == 12
    for frame, kept in zip(read_frames(path), stored, strict=True):
        assert np.abs(kept - frame).mean() < 1.0
    monkeypatch.setattr(video, "_extract", None)  # a second extraction would fail
    assert extract_frames(path) == folder


def test_a_changed_video_is_extracted_anew(tmp_path):
    path = write_video(tmp_path / "walk.mp4")
    first = extract_frames(path)
    write_video(path, count=7)
    second = extract_frames(path)
    assert first != second
    assert len(list(second.iterdir())) == 7


def test_interrupted_extraction_is_never_taken_for_whole(tmp_path, home, monkeypatch):
    path = write_video(tmp_path / "walk.mp4")
    frames = video.read_frames

    def stops_halfway(source):
        for number, frame in enumerate(frames(source)):
            if number == 5:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(video, "read_frames", stops_halfway)
    with pytest.raises(KeyboardInterrupt):
        extract_frames(path)
    assert not [entry for entry in (home / "cache").iterdir() if entry.is_dir()]
    monkeypatch.setattr(video, "read_frames", frames)
    assert len(list(extract_frames(path).iterdir())) == 12


def test_remains_of_a_killed_extraction_are_replaced(tmp_path, home, monkeypatch):
    path = write_video(tmp_path / "walk.mp4")
    folder = extract_frames(path)
    half = folder.with_name(f".{folder.name}.tmp")  # what kill -9 leaves
    folder.rename(half)
    (half / "999999.jpg").write_bytes(b"")
    assert sorted(file.stem for file in extract_frames(path).iterdir()) == [f"{n:06d}" for n in range(12)]
    assert not half.exists()


def test_two_processes_share_one_extraction(tmp_path):
    path = write_video(tmp_path / "walk.mp4")
    code = "import sys, pathlib; from mdtk.datasets.sequence.video_frames import extract_frames as extract; "
    code += "print(extract(pathlib.Path(sys.argv[1])))"
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    folders = {job.communicate()[0].strip() for job in jobs}
    assert all(job.returncode == 0 for job in jobs)
    assert len(folders) == 1
    assert len(list(Path(folders.pop()).iterdir())) == 12


def test_full_disk_is_one_sentence_before_it_is_full(tmp_path, monkeypatch):
    path = write_video(tmp_path / "walk.mp4")
    usage = video.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(video.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MdtkError, match="set MDTK_DATASETS to another disk"):
        extract_frames(path)


def test_a_video_reads_as_a_sequence(tmp_path):
    path = write_video(tmp_path / "my walk.mp4")
    node = default_config().DATA
    node.SEQUENCE.PATHS, node.SEQUENCE.K, node.SEQUENCE.K_SIZE = [str(path)], [80.0, 80.0, 48.0, 32.0], [96, 64]
    reader = open_sequence(node, "all")
    assert reader.lines == [f"my walk {number}" for number in range(1, 11)]
    target, source = (np.asarray(image).astype(int) for image in reader.images(3, [0, 1]))
    assert np.abs(target - picture(4)).mean() < np.abs(target - picture(5)).mean()
    assert np.abs(source - picture(5)).mean() < np.abs(source - picture(4)).mean()


def test_unreadable_video(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(write_video(tmp_path / "walk.mp4").read_bytes()[:300])
    with pytest.raises(MdtkError, match=r"video cannot be read: .*broken\.mp4"):
        extract_frames(broken)
    with pytest.raises(MdtkError, match="video not found"):
        list(read_frames(tmp_path / "absent.mp4"))
