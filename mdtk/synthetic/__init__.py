"""The sample world: rendered streets and rooms in the file layout of every dataset, in place of the real data.

`make_sample` writes it to disk; `make_drive(spec).render(frame, side)` gives one frame with its exact depth and pose.
"""

from mdtk.synthetic.drive import Drive, DriveSpec, make_drive
from mdtk.synthetic.render import Frame, render_frame
from mdtk.synthetic.rig import Rig
from mdtk.synthetic.world import LAYOUTS, SCALES, make_sample

__all__ = ["LAYOUTS", "SCALES", "Drive", "DriveSpec", "Frame", "Rig", "make_drive", "make_sample", "render_frame"]
