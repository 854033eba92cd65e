"""A predictor class in a Python file of the user's own: `--predictor my_model.py:MyModel option=value …`.

The class needs one method; what it says of itself are attributes, all with a default:

    class MyModel:
        gives = "disparity"     # or "depth", "affine_disparity", "affine_depth" (known up to scale and shift alone)
        input_size = (192, 640) # height, width that images are resized to (LANCZOS); None: as they are, one by one
        frames = (0,)           # frame offsets it looks at, 0 the entry's own, "s" the other camera of a stereo rig
        needs_camera = False    # True: predict(images, cameras), one `Camera` for each image

        def predict(self, images):  # (B, H, W, 3) uint8 RGB, or (B, F, H, W, 3) for several frames
            return maps             # (B, h, w), an array or a tensor, of any size

Its options are the arguments of its constructor. examples/predictors/ holds some.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mdtk.core.errors import MdtkError, one_line
from mdtk.datasets.image_files import resize
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.evaluation.predictors import DepthPredictor
from mdtk.evaluation.scoring.alignment import KINDS
from mdtk.evaluation.scoring.protocols import Protocol


@dataclass(frozen=True)
class Camera:
    """The camera of one image that a user's class sees: K (3, 3) in pixels of that image, 0-based pixel centres.

    `baseline` is the distance to the other camera of the stereo rig in metres, 0 where no stereo frame was asked for;
    `side` is -1 where this is the left camera and +1 where it is the right one.
    """

    K: np.ndarray
    baseline: float = 0.0
    side: int = -1


@dataclass(frozen=True)
class UserPredictor(DepthPredictor):
    """An object of a user's class as a predictor; see the module's text for what the class has."""

    model: Any
    origin: str  # file and class, for messages and results
    options: Mapping[str, object]

    @property
    def gives(self) -> str:  # type: ignore[override]
        """See `DepthPredictor.gives`."""
        return str(getattr(self.model, "gives", "disparity"))

    @property
    def frame_offsets(self) -> Sequence[Offset]:  # type: ignore[override]
        """See `DepthPredictor.frame_offsets`."""
        frames = getattr(self.model, "frames", (0,))
        known = isinstance(frames, Sequence) and not isinstance(frames, str) and len(frames) > 0
        if not known or not all(one == STEREO or isinstance(one, int) for one in frames):
            raise MdtkError(f"{self.origin}: frames is {frames!r}; it is a tuple of whole numbers and '{STEREO}'")
        return tuple(frames)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of the images that the class takes, None where it takes them as they are."""
        size = getattr(self.model, "input_size", None)
        if size is None:
            return None
        whole = isinstance(size, Sequence) and all(isinstance(one, int | np.integer) and one > 0 for one in size)
        if not whole or len(size) != 2:
            raise MdtkError(f"{self.origin}: input_size is {size!r}; it is (height, width) in pixels, or None")
        return int(size[0]), int(size[1])

    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]:
        """Runs the class on these batches; images of their own size go through it one by one."""
        size = self.input_size
        groups = batches if size else [[index] for batch in batches for index in batch]
        found: dict[str, np.ndarray] = {}
        for group in groups:
            names = [reader.name(index) for index in group]
            found.update(zip(names, self._run(reader, group, size), strict=True))
        return found

    def _run(self, reader: DatasetReader, indices: Sequence[int], size: tuple[int, int] | None) -> Iterator[np.ndarray]:
        frames, cameras = [], []
        for index in indices:
            images = reader.images(index, self.frame_offsets)
            native = images[0].size
            target = (size[1], size[0]) if size else native
            stack = np.stack([resize(image, target).transpose(1, 2, 0) for image in images])
            frames.append(stack[0] if len(self.frame_offsets) == 1 else stack)
            if getattr(self.model, "needs_camera", False):
                cameras.append(self._camera(reader, index, native, target))
        arguments = [np.stack(frames), *([cameras] if cameras else [])]
        try:
            with torch.no_grad():
                values = self._checked(self.model.predict(*arguments), len(indices))
        except (MdtkError, OSError):
            raise
        except Exception as error:  # somebody else's code may fail in any way
            names = f"{reader.name(indices[0])}" + (f" and {len(indices) - 1} others" if indices[1:] else "")
            raise MdtkError(
                f"{self.origin}: predict() of {names} failed ({_reason(error)}); MDTK_DEBUG=1 shows where"
            ) from error
        yield from values

    def _camera(self, reader: DatasetReader, index: int, native: tuple[int, int], target: tuple[int, int]) -> Camera:
        matrix = reader.resized_intrinsics(index, native, target)
        side, baseline = reader.stereo_pose(index) if STEREO in self.frame_offsets else (-1, 0.0)
        return Camera(matrix, baseline, side)

    def _checked(self, maps: object, count: int) -> np.ndarray:
        values = maps.detach().float().cpu().numpy() if isinstance(maps, torch.Tensor) else np.asarray(maps)
        if values.ndim == 4 and 1 in (values.shape[1], values.shape[3]):
            values = values[:, 0] if values.shape[1] == 1 else values[..., 0]
        if values.ndim != 3 or len(values) != count or values.dtype.kind not in "fiu" or not values.size:
            raise MdtkError(
                f"{self.origin}: predict() gave {values.dtype} of shape {values.shape} for {count} images; "
                "it must give numbers, images x height x width"
            )
        return values.astype(np.float32)

    def describe(self) -> str:
        """For example "my_model.py:MyModel(size=large), gives depth, input 640x192"."""
        size = self.input_size
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        shown = f"input {size[1]}x{size[0]}" if size else "images as they are"
        return f"{self.origin}({options}), gives {self.gives}, {shown}"


def is_user_file(name: str) -> bool:
    """Whether the name of a predictor is a file and a class of the user's own, FILE.py:CLASS."""
    return ".py:" in name


def load_user_predictor(name: str, options: Mapping[str, object]) -> UserPredictor:
    """The class that `name` = FILE.py:CLASS says, made with `options`.

    Raises `MdtkError` for a file or class that is not there, an option that the class does not take, or a class without
    a predict method.
    """
    file, _, title = name.rpartition(":")
    kind = _class(Path(file), title)
    try:
        inspect.signature(kind).bind(**options)
    except TypeError as error:
        raise MdtkError(f"--predictor {name}: {error}; it takes {inspect.signature(kind)}") from error
    try:
        model = kind(**options)
    except (MdtkError, OSError):
        raise
    except Exception as error:  # somebody else's code may fail in any way
        raise MdtkError(f"--predictor {name}: cannot be made ({_reason(error)}); MDTK_DEBUG=1 shows where") from error
    if not callable(getattr(model, "predict", None)):
        raise MdtkError(f"--predictor {name}: the class has no predict(images); add it")
    predictor = UserPredictor(model, name, dict(options))
    if predictor.gives not in KINDS:
        raise MdtkError(f"--predictor {name}: gives is {predictor.gives!r}; it is one of {', '.join(KINDS)}")
    for attribute in ("frame_offsets", "input_size"):
        getattr(predictor, attribute)  # a wrong one is said now, not after an hour
    return predictor


def _reason(error: Exception) -> str:
    """What somebody else's code raised, and where, for a sentence."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {one_line(str(error))}, {Path(last.filename).name} line {last.lineno}"


def _class(path: Path, title: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"mdtk_user_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise MdtkError(f"--predictor: {path} not found; give the path of a Python file, then :CLASS")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # somebody else's code may fail in any way
        raise MdtkError(
            f"--predictor: {path} cannot be imported ({type(error).__name__}: {error}); repair it"
        ) from error
    kind = getattr(module, title, None)
    if not isinstance(kind, type):
        classes = [
            key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == spec.name
        ]
        raise MdtkError(f"--predictor: {path} has no class {title}; it has {', '.join(classes) or 'none'}")
    return kind
