"""The synthetic world that stands in for the datasets: rendered streets and rooms in every dataset's real layout.

`make_sample` writes it; `make_drive(spec).render(frame, side)` gives one frame with its exact depth and pose.
"""

from mdtk.data.sample_world.drive import Drive, DriveSpec, make_drive
from mdtk.data.sample_world.render import Frame, render_frame
from mdtk.data.sample_world.rig import Rig
from mdtk.data.sample_world.world import FAMILIES, SCALES, make_sample

__all__ = ["FAMILIES", "SCALES", "Drive", "DriveSpec", "Frame", "Rig", "make_drive", "make_sample", "render_frame"]
