"""pyOCD's probe client against servers that are silent, gone, or lie: every wait ends, no lie is taken."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyocd.core.exceptions import ProbeError, TransferFaultError

from harness.farm.remote_probe import RemoteProbe

Answer = Callable[[dict[str, Any]], bytes | None]


@contextmanager
def server(answer: Answer) -> Iterator[RemoteProbe]:
    """A probe whose server answers each request so; None: it hangs up."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with suppress(ConnectionError), theirs, theirs.makefile("rb") as lines:
            for line in lines:
                reply = answer(json.loads(line))
                if reply is None:
                    return
                theirs.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    probe = RemoteProbe(ours)
    probe.line.seconds = 5.0
    try:
        yield probe
    finally:
        ours.close()
        thread.join()


def result(value: Any) -> Answer:
    return lambda request: json.dumps({"id": request["id"], "status": 0, "result": value}).encode() + b"\n"


def test_bytes_are_sent_as_numbers() -> None:
    asked: list[Any] = []

    def answer(request: dict[str, Any]) -> bytes:
        asked.append(request.get("arguments"))
        return result(0)(request) or b""

    with server(answer) as probe:
        memory = probe.get_memory_interface_for_ap(
            type("Address", (), {"ap_version": type("Version", (), {"value": 1}), "nominal_address": 0})
        )
        memory.write_memory_block8(16, b"\x01\xff")
    assert asked[1] == [0, 16, [1, 255]]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(), lambda inner: st.lists(inner)
    )
)
def test_numbers_are_numbers_and_as_many_as_were_asked_for(value: Any) -> None:
    sane = (
        isinstance(value, list) and [type(n) for n in value] == [int] * 3 and all(0 <= n < 256 for n in value)
    )
    with server(result(value)) as probe:
        if sane:
            assert probe._perform_request("read_block8", 0, 0, 3) == value
        else:
            with pytest.raises(ProbeError, match="answered read_block8 with"):
                probe._perform_request("read_block8", 0, 0, 3)
            with pytest.raises(ProbeError, match="answered read_block8 with"):
                probe._perform_request("read_dp", 0)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", r"did not answer in 0\.2 s"),
        (b'{"id": 0, "sta', r"did not answer in 0\.2 s"),
        (None, "closed the connection"),
        (b"no JSON\n", "is no reply"),
        (b"\xff\xfe\n", "is no reply"),
        (b"[]\n", "malformed response"),
        (b"7\n", "is no reply"),
        (b'{"id": 0, "status": 0, "result": "\\u0007"}\n', "unique ID '.x07'"),
        (b'{"id": 0, "status": 0}\n', "unique ID None"),
    ],
)
def test_what_is_no_reply(reply: bytes | None, words: str) -> None:
    greeting = b'{"id": 0, "status": 0}\n'
    with server(lambda request: greeting if request["request"] == "hello" else reply) as probe:
        probe.line.seconds = 0.2
        with pytest.raises(ProbeError, match=words):
            probe.identify()


def test_after_a_late_reply_nothing_is_believed() -> None:
    late = threading.Event()

    def answer(request: dict[str, Any]) -> bytes:
        late.wait(10)
        return result(1)(request) or b""

    with server(answer) as probe:
        probe.line.seconds = 0.1
        with pytest.raises(ProbeError, match="did not answer"):
            probe.read_dp(0)
        late.set()
        probe.line.seconds = 5.0
        with pytest.raises(ProbeError, match="did not answer"):
            probe.read_dp(4)


def test_faults_of_the_target_stay_faults() -> None:
    with (
        server(lambda request: b'{"id": 0, "status": 12, "error": "no ACK"}\n') as probe,
        pytest.raises(TransferFaultError, match="no ACK"),
    ):
        probe.read_ap(0)


def test_a_probe_that_cannot_be_opened_may_be_somebody_elses() -> None:
    def answer(request: dict[str, Any]) -> bytes:
        if request["request"] == "open":
            return b'{"id": 0, "status": 3, "error": "Resource busy"}\n'
        return result("066D")(request) or b""

    with server(answer) as probe:
        assert probe.identify() == "066D"
        with pytest.raises(ProbeError, match=r"cannot open the probe 066D; another program .*Resource busy"):
            probe.open()
