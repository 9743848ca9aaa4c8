from collections.abc import Callable

from harness.devices.availability import availability
from harness.targets import Target, Toolchain, load_target


def test_what_is_missing_says_how_to_get_it(qemu_target: Callable[..., Target]) -> None:
    found = availability(qemu_target(), which=lambda name: None)
    assert not found.usable
    assert {need.program: need.hint for need in found.missing} == {
        "qemu-system-arm": "apt install qemu-system-arm",
        "arm-none-eabi-gcc": "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    }


def test_what_is_installed_is_shown_with_its_path(qemu_target: Callable[..., Target]) -> None:
    found = availability(qemu_target(), which=lambda name: f"/usr/bin/{name}")
    assert found.usable
    assert [need.path for need in found.requirements] == [
        "/usr/bin/qemu-system-arm",
        "/usr/bin/arm-none-eabi-gcc",
    ]


def test_what_is_in_no_package_says_where_to_get_it() -> None:
    found = availability(load_target("renode-stm32f7"), which=lambda name: None)
    hint = {need.program: need.hint for need in found.missing}["renode"]
    assert hint == "install Renode 1.16 (package or portable archive, https://renode.io) and put it on PATH"


def test_a_second_compiler_is_optional_and_may_be_unknown(qemu_target: Callable[..., Target]) -> None:
    target = qemu_target().model_copy(
        update={"driver": "native", "toolchain": Toolchain(compilers=("gcc", "tcc"))}
    )
    found = availability(target, which=lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    assert found.usable
    assert [need.program for need in found.requirements] == ["gcc", "tcc"]
    assert found.requirements[1].hint == "install tcc and put it on PATH"
