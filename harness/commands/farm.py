"""`trainbench farm`: what a board farm has, who holds it, and emulators of this machine as its boards."""

from __future__ import annotations

from typing import Annotated

import typer

farm = typer.Typer(
    help="A board farm over labgrid (--coordinator or $LG_COORDINATOR).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

CoordinatorOption = Annotated[
    str | None, typer.Option("--coordinator", metavar="HOST:PORT", help="The labgrid coordinator.")
]


@farm.command("places")
def places(
    selection: Annotated[
        str | None, typer.Argument(metavar="[farm:TAG]", help="Only places that this means.")
    ] = None,
    coordinator: CoordinatorOption = None,
) -> None:
    """List places: target, tags, resources, and who holds them."""
    from harness.console import plain_table, print_whole
    from harness.farm.hold import coordinator_address, list_places
    from harness.farm.selection import Selection

    wanted = Selection.parse(selection) if selection else Selection()
    table = plain_table(("place", "target", "tags", "state", "resources"), ())
    for place in list_places(coordinator_address(coordinator)):
        if wanted.matches(place.tags):
            tags = " ".join(f"{k}={v}" for k, v in sorted(place.tags.items()) if k != "target")
            state = f"held by {place.holder}" if place.holder else "free"
            resources = " ".join(str(resource) for resource in place.resources) or "none"
            table.add_row(place.name, place.target or "", tags, state, resources)
    print_whole(table)


@farm.command("release")
def release(
    place: Annotated[str, typer.Argument(help="Name of a place.")], coordinator: CoordinatorOption = None
) -> None:
    """Release PLACE, whoever holds it. What they measure there is discarded."""
    from harness.farm.hold import coordinator_address, release_place

    release_place(coordinator_address(coordinator), place)


@farm.command("emulators")
def emulators(
    target: Annotated[list[str], typer.Argument(help="QEMU targets, one for each board.")],
    name: Annotated[str, typer.Option("--name", help="Of the exporter; its boards are NAME-0, NAME-1, …")],
    coordinator: CoordinatorOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address of this machine, as clients reach it.")
    ] = "127.0.0.1",
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Tag of the places; repeated.")
    ] = None,
) -> None:
    """Offer emulators of this machine as boards of a farm, a place each, until interrupted."""
    from harness.farm.exporting import export_emulators
    from harness.farm.hold import coordinator_address

    export_emulators(
        coordinator_address(coordinator),
        name,
        target,
        host,
        tuple(tag or ()),
        lambda: typer.echo(f"{name} offers {len(target)} boards"),
    )
