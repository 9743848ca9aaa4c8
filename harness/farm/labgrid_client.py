"""labgrid's client, which refuses a place with a resource of a class that it does not know, knowing ours."""

from __future__ import annotations

import attr
from labgrid.factory import target_factory
from labgrid.remote.client import main
from labgrid.resource.common import Resource


@target_factory.reg_resource
@attr.s(eq=False)
class PyocdProbe(Resource):  # type: ignore[misc]
    """A debug probe that pyOCD can reach (`harness.farm.access`)."""

    uid: str = attr.ib(validator=attr.validators.instance_of(str))


if __name__ == "__main__":
    main()
