"""pytest plugin: `pytest --target qemu-mps2-an500` runs the suites on that target. Without --target it does nothing.

It is loaded into every pytest run of the environment it is installed in, so nothing heavy is imported here.
"""

from __future__ import annotations
