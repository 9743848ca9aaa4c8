"""Faults of a server that QEMU does not commit are played by a scripted one."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from pyocd.core.exceptions import ProbeDisconnected, ProbeError, TransferFaultError

from harness.devices.gdbrsp.access import TargetAccess
from harness.devices.gdbrsp.client import RspClient
from harness.devices.gdbrsp.packets import PacketDecoder, encode

Reply = Callable[[bytes], bytes | None]
XML = b'l<reg name="r0" bitsize="32"/><reg name="pc" bitsize="32"/>'


def polite(payload: bytes) -> bytes:
    if payload.startswith(b"qSupported"):
        return b"PacketSize=1000"
    if payload.startswith(b"qXfer"):
        return XML
    if payload == b"qqemu.PhyMemMode":
        return b"0"
    return b"T05" if payload == b"?" else b"OK"


@pytest.fixture
def server() -> Iterator[Callable[[Reply], RspClient]]:
    ours, theirs = socket.socketpair()
    threads: list[threading.Thread] = []

    def serve(reply: Reply) -> None:
        decoder = PacketDecoder()
        with theirs:
            while data := theirs.recv(4096):
                for payload in decoder.feed(data):
                    answer = reply(payload)
                    if answer is None:
                        return
                    theirs.sendall(b"+" + answer)

    def start(reply: Reply) -> RspClient:
        thread = threading.Thread(target=serve, args=(reply,))
        thread.start()
        threads.append(thread)
        client = RspClient(ours)
        client.timeout = 0.3
        return client

    yield start
    ours.close()
    for thread in threads:
        thread.join(5)


def answering(special: dict[bytes, bytes | None]) -> Reply:
    def reply(payload: bytes) -> bytes | None:
        for prefix, answer in special.items():
            if payload.startswith(prefix):
                return answer
        return encode(polite(payload))

    return reply


def test_a_polite_server_opens(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({}))
    client.open()
    assert client.packet_size == 0x1000
    assert set(client.registers) == {"r0", "pc"}


def test_another_server_is_told_from_qemu_and_how_to_reach_it(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"qqemu": encode(b"")}))
    with pytest.raises(ProbeError, match=r"not QEMU's.* write gdbrsp:renode:HOST:PORT"):
        client.open()


def test_silence_is_an_error_and_ends_the_connection(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"g": b""}))
    client.open()
    with pytest.raises(ProbeError, match=r"did not answer its debug connection within 0\.3 s"):
        client.request(b"g")
    with pytest.raises(ProbeDisconnected, match="did not answer"):
        client.request(b"?")


def test_a_closed_connection_is_a_disconnect(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"g": None}))
    client.open()
    with pytest.raises(ProbeDisconnected, match="closed the debug connection"):
        client.request(b"g")


def test_a_damaged_packet_is_an_error(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"g": b"$abc#00"}))
    client.open()
    with pytest.raises(ProbeError, match="checksum"):
        client.request(b"g")


def test_nonsense_as_description_is_an_error(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"qXfer": encode(b'l<reg name="a" bitsize="many"/>')}))
    with pytest.raises(ProbeError, match="makes no sense"):
        client.open()


def test_a_description_without_end_is_an_error(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"qXfer": encode(b"m" + b" " * 60000)}))
    with pytest.raises(ProbeError, match="does not end"):
        client.open()


def test_an_exit_reply_ends_the_connection(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"vCont": encode(b"W03")}))
    client.open()
    with pytest.raises(ProbeDisconnected, match="ended with exit code 3"):
        client.step()


def test_short_memory_replies_are_faults_not_data(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"m": encode(b"0011")}))
    client.open()
    with pytest.raises(TransferFaultError):
        TargetAccess(client).read(0x20000000, 4)


def test_a_register_of_the_wrong_size_is_an_error(server: Callable[[Reply], RspClient]) -> None:
    client = server(answering({b"p": encode(b"00")}))
    client.open()
    with pytest.raises(ProbeError, match="register pc"):
        TargetAccess(client).read_register("pc")
