"""What the jobs of a run import, once for all of them and while firmware is built: pyOCD takes a second."""

from __future__ import annotations

import numpy.random
import skimage.data

import harness.devices.qemu
import harness.run.execute

__all__ = ["harness", "numpy"]

# scikit-image imports what it is asked for when it is asked.
LOADED = (skimage.data.lfw_subset,)
