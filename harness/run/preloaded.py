"""What the jobs of a run import, once for all of them and while firmware is built: pyOCD takes a second."""

from __future__ import annotations

import warnings

import numpy.ma
import numpy.random
import PIL.ImageFile
import skimage.data

import harness.devices.qemu
import harness.run.execute
from harness.provenance import package_version, package_versions, running_revision

__all__ = ["PIL", "harness", "numpy"]

# scikit-image imports what it is asked for when it is asked; versions and revision are kept.
LOADED = (skimage.data.lfw_subset, package_versions(), package_version("pyocd"), running_revision())

# A job runs the main module of who started it once more; with `python -m harness.cli` it is imported then.
warnings.filterwarnings("ignore", message="'harness.cli' found in sys.modules", category=RuntimeWarning)
