"""Joining the CRC-32Cs of stretches into that of the whole file, so that stretches can be read in any order.

The method is zlib's `crc32_combine`: appending n zero bytes multiplies a CRC by x**(8n) modulo the polynomial (RFC 3720, appendix
B.4 has Castagnoli's). The result is what object stores report for the whole object.
"""

import functools

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials modulo Castagnoli's; bit 31 is the term of degree 0."""
    product = 0
    while a:
        if a & 0x80000000:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@functools.lru_cache(maxsize=1024)
def _shift(length: int) -> int:
    """x**(8 * length) modulo the polynomial."""
    power, square = 0x80000000, 0x00800000  # x**0 and x**8
    while length:
        if length & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        length >>= 1
    return power


def combine(first: int, second: int, second_length: int) -> int:
    """The CRC-32C of two stretches of bytes, from that of each.

    Args:
        first: of the bytes before.
        second: of the bytes after.
        second_length: how many bytes those are.
    """
    return _multiply(_shift(second_length), first) ^ second
