import socket
from pathlib import Path

import pytest
from pyocd.core.exceptions import ProbeError

from harness.devices.gdbrsp.endpoint import connect


def test_tcp_and_unix_and_a_socket_already_held(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "gdb"))
        unix.listen()
        ours, theirs = socket.socketpair()
        addresses = {
            f"127.0.0.1:{tcp.getsockname()[1]}": lambda: tcp.accept()[0],
            f"unix:{tmp_path / 'gdb'}": lambda: unix.accept()[0],
            f"fd:{ours.detach()}": lambda: theirs,
        }
        for address, other_end in addresses.items():
            with connect(address) as connection, other_end() as other:
                connection.sendall(b"x")
                assert other.recv(1) == b"x"


@pytest.mark.parametrize(
    "address", ["", "host", "host:", "host:0", "host:99999", "fd:", "fd:x", "unix:", "a:b:1"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ProbeError, match=r"write gdbrsp:HOST:PORT, gdbrsp:unix:PATH or gdbrsp:fd:N"):
        connect(address)


@pytest.mark.parametrize("address", ["fd:987654", "unix:/nowhere/socket", "127.0.0.1:1"])
def test_nobody_there(address: str) -> None:
    with pytest.raises(ProbeError, match=f"no GDB server at gdbrsp:{address}"):
        connect(address)
