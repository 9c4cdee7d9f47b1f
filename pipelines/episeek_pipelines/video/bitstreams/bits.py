"""Read the bits of a syntax structure, and remove or add emulation prevention bytes."""


class BitsEndError(ValueError):
    """The bytes end before the last field of a syntax structure."""


class BitReader:
    """Reads fields from bytes, the highest bit first. Methods raise `BitsEndError` if a field reaches past the end of the bytes."""

    __slots__ = ("_bits", "_left")

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """Read the next `count` bits and return them as an unsigned number."""
        self._left -= count
        if self._left < 0:
            raise BitsEndError("end of the bits")
        return self._bits >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """Read and return an unsigned number in exponential Golomb code (ITU-T H.264, 9.1; ITU-T H.265, 9.2)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise BitsEndError("a code of more than 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)


def without_emulation_prevention(payload: bytes) -> bytes:
    """Return the payload of a NAL unit without its emulation prevention bytes (ITU-T H.264, 7.3.1)."""
    return payload.replace(b"\0\0\3", b"\0\0")


def with_emulation_prevention(payload: bytes) -> bytes:
    """Return a payload with emulation prevention bytes, so that no three bytes look like a start code (ITU-T H.264, 7.4.1)."""
    escaped = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(escaped)
