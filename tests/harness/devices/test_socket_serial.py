import socket
from collections.abc import Iterator

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.socket_serial import SocketSerial


@pytest.fixture
def ends() -> Iterator[tuple[SocketSerial, socket.socket]]:
    near, far = socket.socketpair()
    line = SocketSerial("line")
    line.attach(near)
    line.timeout = 5.0
    with far:
        yield line, far
    line.close()


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5), st.integers(1, 60))
def test_bytes_arrive_in_order_whatever_the_read_size(messages: list[bytes], size: int) -> None:
    near, far = socket.socketpair()
    line = SocketSerial("line")
    line.attach(near)
    line.timeout = 0.0
    for message in messages:
        far.sendall(message)
    found = bytearray()
    while part := line.read(size):
        found += part
    assert bytes(found) == b"".join(messages)
    line.close()
    far.close()


def test_it_is_a_pyserial_port(ends: tuple[SocketSerial, socket.socket]) -> None:
    line, far = ends
    assert isinstance(line, serial.SerialBase)
    far.sendall(b"one\ntwo\n")
    assert line.read_until(b"\n") == b"one\n"
    assert line.in_waiting == 4
    line.reset_input_buffer()
    assert line.in_waiting == 0
    assert line.write(b"abc") == 3
    assert far.recv(10) == b"abc"


def test_a_read_gives_what_came_within_its_time(ends: tuple[SocketSerial, socket.socket]) -> None:
    line, far = ends
    far.sendall(b"abc")
    line.timeout = 0.01
    assert line.read(10) == b"abc"
    assert line.read(10) == b""


def test_the_last_bytes_are_read_before_the_end_is_reported(ends: tuple[SocketSerial, socket.socket]) -> None:
    line, far = ends
    far.sendall(b"last")
    far.close()
    assert line.read(10) == b"last"
    with pytest.raises(serial.SerialException, match="line: the device closed its serial line"):
        line.read(1)
    with pytest.raises(serial.SerialException, match="closed its serial line"):
        line.write(b"x")


def test_a_device_that_takes_nothing_times_the_write_out(ends: tuple[SocketSerial, socket.socket]) -> None:
    line, _ = ends
    line.write_timeout = 0.01
    with pytest.raises(serial.SerialTimeoutException, match=r"line took \d+ of 8388608 bytes"):
        line.write(bytes(8 << 20))


def test_closed_and_not_yet_opened_ports(ends: tuple[SocketSerial, socket.socket]) -> None:
    line, _ = ends
    line.close()
    with pytest.raises(serial.SerialException):
        line.read(1)
    with pytest.raises(serial.SerialException, match="load the firmware first"):
        SocketSerial("line").open()
    assert not line.is_open


def test_another_line_replaces_the_first(ends: tuple[SocketSerial, socket.socket]) -> None:
    line, far = ends
    near, other = socket.socketpair()
    with other:
        line.attach(near)
        assert far.recv(1) == b""
        other.sendall(b"new")
        assert line.read(3) == b"new"
