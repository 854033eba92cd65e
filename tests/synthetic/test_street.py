"""The rendered street agrees with itself: image, depth, pose, stereo, LiDAR, calibration files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mdtk.synthetic import DriveSpec, Frame, Rig, lidar, make_drive, rig
from mdtk.synthetic import kitti_odom_layout as kitti_odom
from mdtk.synthetic.drive import travelled
from mdtk.synthetic.kitti_odom_layout import pose_lines
from mdtk.synthetic.render import cast_world
from mdtk.synthetic.world_camera import Camera

RIG = Rig(256, 77, 148.2)
SPEC = DriveSpec(seed=0, place=2, frames=8, rig=RIG, follows=True, oncoming=1)


@pytest.fixture(scope="module")
def drive():
    return make_drive(SPEC)


def warp(target: Frame, source: Frame) -> tuple[np.ndarray, np.ndarray]:
    """`source` seen from `target` by the true depth and poses, and where its surface is the same and stands still."""
    height, width = target.depth.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    z = np.where(np.isfinite(target.depth), target.depth, 0).astype(float)
    points = np.stack([x * z, y * z, z], -1) @ np.linalg.inv(target.K).T
    source_T_target = np.linalg.inv(source.camera_to_world) @ target.camera_to_world
    projected = (points @ source_T_target[:3, :3].T + source_T_target[:3, 3]) @ source.K.T
    depth = np.maximum(projected[..., 2], 1e-3)
    u, v = projected[..., 0] / depth, projected[..., 1] / depth
    warped = cv2.remap(source.image.astype(np.float32), u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    inside = (projected[..., 2] > 0.1) & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1) & (z > 0)
    ui, vi = np.clip(np.rint(u), 0, width - 1).astype(int), np.clip(np.rint(v), 0, height - 1).astype(int)
    same = np.abs(source.depth[vi, ui] - depth) < 0.05 * depth
    return warped, inside & same & ~target.moving & ~source.moving[vi, ui]


@pytest.mark.parametrize(("frame", "side"), [(3, "l"), (5, "l"), (4, "r"), (5, "r")])
def test_warping_a_neighbour_reproduces_the_target(drive, frame, side):
    target, source = drive.render(4, "l"), drive.render(frame, side)
    warped, visible = warp(target, source)
    error = np.abs(warped - target.image)[visible].mean()
    unwarped = np.abs(source.image.astype(float) - target.image)[visible].mean()
    assert visible.mean() > 0.5
    assert error < 4
    assert error < unwarped / 3


def test_a_wrong_pose_does_not_reproduce_it(drive):
    """The measure above can fail: half the motion gives a clearly larger error."""
    target, source = drive.render(4, "l"), drive.render(5, "l")
    right = np.abs(warp(target, source)[0] - target.image)[warp(target, source)[1]].mean()
    pose = source.camera_to_world.copy()
    pose[:3, 3] = (pose[:3, 3] + target.camera_to_world[:3, 3]) / 2
    warped, visible = warp(target, Frame(source.image, source.depth, source.K, pose, source.moving))
    assert np.abs(warped - target.image)[visible].mean() > 1.5 * right


def test_moving_cars_are_masked_and_move(drive):
    """The car ahead keeps its place in the image; the mask covers it in each frame."""
    first, last = drive.render(1, "l"), drive.render(6, "l")
    assert first.moving.mean() > 0.005
    center = np.array([np.mean(np.nonzero(frame.moving), axis=1) for frame in (first, last)])
    assert np.abs(center[0] - center[1]).max() < 15
    assert np.abs(np.median(first.depth[first.moving]) - np.median(last.depth[last.moving])) < 1.0


def test_depth_is_bounded_and_varied(drive):
    frame = drive.render(4, "l")
    near = frame.depth < 80
    assert np.isfinite(frame.depth).mean() > 0.98
    assert near.mean() > 0.6
    per_row = [frame.depth[row][near[row]] for row in range(30, 77) if near[row].sum() > 50]
    assert np.mean([np.std(np.log(row)) for row in per_row]) > 0.2  # depth is not a function of the row


def test_every_surface_has_texture(drive):
    """The local contrast (standard deviation in 9×9 windows) is high almost everywhere."""
    grey = drive.render(4, "l").image.mean(axis=2).astype(np.float32)
    mean, square = cv2.blur(grey, (9, 9)), cv2.blur(grey * grey, (9, 9))
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    assert np.mean(deviation > 3) > 0.9


def test_velodyne_points_project_onto_the_dense_depth(drive):
    """P_rect_02 · R_rect_00 · velo_to_cam puts every return on the surface that the camera sees there."""
    points = lidar.sweep(drive, 4, lidar.make_rays(1.0, 8.0))
    assert points.dtype == np.float32
    assert points.shape[1] == 4
    assert ((points[:, 3] >= 0) & (points[:, 3] < 1)).all()
    assert (points[:, 0] < -1).any()  # behind the sensor too
    for side in "lr":
        in_rect = (points[:, :3] @ RIG.R_velo.T + RIG.T_velo) @ RIG.R_rect.T
        projected = np.column_stack([in_rect, np.ones(len(points))]) @ RIG.P_rect(side).T
        projected = projected[projected[:, 2] > 1]
        u, v = (np.rint(projected[:, k] / projected[:, 2]).astype(int) for k in range(2))
        inside = (u >= 0) & (u < RIG.width) & (v >= 0) & (v < RIG.height)
        dense = drive.render(4, side).depth[v[inside], u[inside]]
        ratio = projected[inside, 2] / dense
        assert inside.sum() > 800
        assert np.mean(np.abs(ratio - 1) < 0.04) > 0.85  # half a pixel on the ground, edges
        assert np.mean(ratio < 0.9) < 0.05  # nothing in front of the surface


def test_lidar_rays_agree_with_an_exact_cast(drive):
    """A return's position is on the surface: casting a pinhole ray through it from the LiDAR's place gives its z."""
    points = lidar.sweep(drive, 4, lidar.make_rays(1.0, 8.0))
    points = points[points[:, 0] > 3][::37]
    pose = RIG.velodyne(drive.rig_to_world[4])
    axes = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # camera axes in the Velodyne's
    camera = pose @ np.block([[axes, np.zeros((3, 1))], [np.zeros((1, 3)), 1]])
    in_camera = points[:, :3].astype(float) @ axes
    assert len(points) > 20
    for x, y, z in in_camera:
        ray = Camera(1e4, 1e4, -1e4 * x / z, -1e4 * y / z, 1, 1).rays()
        depth, _ = cast_world(ray, camera, drive.scene.at(4))
        assert depth[0, 0] == pytest.approx(z, rel=2e-3)


def test_semi_dense_truth_is_the_dense_depth(drive):
    depth = drive.depth(4, "l")
    stored = lidar.semi_dense(depth, RIG.focal, RIG.center[1], [0])
    known = stored > 0
    assert stored.dtype == np.uint16
    assert 0.1 < known.mean() < 0.6
    assert np.abs(stored[known] / 256 - depth[known]).max() <= 1 / 512 + 1e-6
    assert depth[known].max() < 80


def test_odometry_poses_are_the_cameras(drive):
    """A pose file's lines, read back, are what warping needs."""
    still_rig = Rig(256, 77, 148.2, left_shift=0.0)
    drive = make_drive(DriveSpec(0, 3, 6, still_rig))
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:, :3] = [np.array(line.split(), float).reshape(3, 4) for line in pose_lines(drive.rig_to_world)]
    assert np.allclose(poses[0], np.eye(4), atol=1e-8)
    assert (np.diff(poses[:, 2, 3]) > 0.4).all()  # forward is +z
    frames = [drive.render(k, "l") for k in (2, 3)]
    frames = [Frame(f.image, f.depth, f.K, poses[k], f.moving) for k, f in zip((2, 3), frames, strict=True)]
    warped, visible = warp(*frames)
    assert np.abs(warped - frames[0].image)[visible].mean() < 4


def test_a_stop_repeats_the_image():
    spec = DriveSpec(0, 1, 20, RIG, stops=True, oncoming=0)
    still = make_drive(spec).static_frames()
    assert 3 <= len(still) <= 14
    a, b = (make_drive(spec).image(f, "l") for f in still[1:3])
    assert np.array_equal(a, b)
    assert make_drive(DriveSpec(0, 1, 20, RIG)).static_frames() == []


def test_speed_is_that_of_a_car():
    for place in range(20):
        steps = np.diff(travelled(DriveSpec(0, place, 40, RIG)))
        assert steps.min() > 0.55
        assert steps.max() < 1.25


def test_odometry_sequences_are_long_enough_for_trajectory_errors():
    """KITTI computes trajectory errors over 100 m and more."""
    for scale in ("small", "full"):
        specs = kitti_odom.plan(scale, 0)
        for sequence in kitti_odom.TEST:
            spec = specs[sequence]
            assert travelled(spec)[-1] > 103


def test_streets_differ():
    """Two drives of a world, and the same drive of two worlds, show different streets."""
    specs = [DriveSpec(0, 1, 6, RIG), DriveSpec(0, 2, 6, RIG), DriveSpec(1, 1, 6, RIG)]
    depths = [np.minimum(make_drive(spec).depth(2, "l"), 80) for spec in specs]
    images = [make_drive(spec).image(2, "l").astype(float) for spec in specs]
    for a, b in ((0, 1), (0, 2)):
        assert np.mean(np.abs(depths[a] - depths[b]) > 0.2 * depths[a]) > 0.3
        assert np.abs(images[a] - images[b]).mean() > 25


def test_far_surfaces_do_not_shimmer(drive):
    """Textures are filtered: 2² and 6² rays per pixel give nearly the same frame."""
    coarse, fine = drive.render(4, "l", 2).image.astype(float), drive.render(4, "l", 6).image.astype(float)
    assert np.abs(coarse - fine).mean() < 4


def test_nominal_intrinsics_hold_closely():
    for calibration in range(4):
        K = Rig(384, 116, 222.7, calibration).K / [[384], [116], [1]]
        assert np.allclose([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], [0.58, 1.92, 0.5, 0.5], atol=0.006)


def test_calibration_files_hold_the_rig():
    """The calibration files, read by the syntax of the files alone, give the rig."""
    rows = dict(line.split(": ") for line in rig.calib_cam_to_cam(RIG).splitlines())
    P2, P3 = (np.array(rows[f"P_rect_0{k}"].split(), float).reshape(3, 4) for k in (2, 3))
    assert np.allclose(P2[:, :3], RIG.K, rtol=1e-6)
    assert (P2[0, 3] - P3[0, 3]) / P2[0, 0] == pytest.approx(0.54, abs=1e-5)
    assert np.array(rows["S_rect_02"].split(), float).tolist() == [256, 77]
    for name, file in (("R_rect_00", rig.calib_cam_to_cam(RIG)), ("R", rig.calib_velo_to_cam(RIG))):
        rows = dict(line.split(": ") for line in file.splitlines())
        R = np.array(rows[name].split(), float).reshape(3, 3)
        assert np.allclose(R @ R.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(R) == pytest.approx(1, abs=1e-5)
