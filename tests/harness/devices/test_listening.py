import subprocess
import sys

import psutil
import pytest

from harness.devices.listening import listening_ports, parse_listeners

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:C35B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0 100
   1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 42 1 0 20
"""


def test_only_sockets_that_listen_count() -> None:
    assert parse_listeners(TABLE) == {41: 0xC35B}


def test_ports_of_a_process_and_of_what_it_started_in_the_order_they_were_opened() -> None:
    server = "import socket; s = [socket.create_server(('127.0.0.1', 0)) for _ in range(3)]; s[1].close()"
    inner = f"{server}; print(s[0].getsockname()[1], s[2].getsockname()[1], flush=True); input()"
    wrapper = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", wrapper], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        expected = [int(port) for port in process.stdout.readline().split()]
        assert listening_ports(process.pid) == expected
        process.communicate("\n", timeout=20)
    with pytest.raises(psutil.NoSuchProcess):
        listening_ports(process.pid)
