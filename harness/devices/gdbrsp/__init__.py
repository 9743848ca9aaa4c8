"""pyOCD probe over the GDB remote protocol: emulators become targets that pyOCD's own CortexM drives.

pyOCD is imported before any submodule, because importing pyOCD loads its probe plugins, and `plugin` is one
of them: the other way round would find `plugin` half initialised.
"""

import pyocd.probe.aggregator  # noqa: F401
