from mdtk.cli.notebook import DepthModel as DepthModel
from mdtk.cli.notebook import load_model as load_model
from mdtk.core.errors import MdtkError as MdtkError

__version__: str
