"""USART of an STM32F7, its other end a socket. It receives without limit and baud rate, as Renode's."""

CR1, ISR, ICR, RDR, TDR = 0x00, 0x1C, 0x20, 0x24, 0x28
RECEIVE_INTERRUPT, ENABLED = 1 << 5, 0b1101
NOT_EMPTY, SENT = 1 << 5, 1 << 7 | 1 << 6


class Usart:
    def __init__(self, on_input):
        self._on_input = on_input
        self._connection = None
        self._unsent = bytearray()
        self.reset()

    def reset(self):
        self._registers = {}
        self._queue = bytearray()

    def connect(self, connection):
        self._connection = connection
        connection.sendall(self._unsent)

    def received(self, data):
        if self._registers.get(CR1, 0) & ENABLED == ENABLED:
            self._queue += data
            self._on_input()

    @property
    def interrupting(self):
        return bool(self._queue) and bool(self._registers.get(CR1, 0) & RECEIVE_INTERRUPT)

    def read(self, offset):
        if offset == ISR:
            return SENT | (NOT_EMPTY if self._queue else 0)
        if offset == RDR:
            return self._queue.pop(0) if self._queue else 0
        return self._registers.get(offset, 0)

    def write(self, offset, value):
        if offset != TDR:
            self._registers[offset] = value
        elif self._registers.get(CR1, 0) & ENABLED == ENABLED:
            if self._connection is None:
                self._unsent.append(value & 0xFF)
            else:
                self._connection.sendall(bytes((value & 0xFF,)))
