"""Numbers of a text: a kernel on its bytes."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

# What a comma is: it divides numbers, or it is a decimal point.
DIVIDES, DECIMAL = 0, 1
# How it ended: at the end of the range; at what is no number; before one with more digits than
# are exact here, which Python reads.
DONE, STRANGE, LONG = 0, 1, 2

_TAB, _NEWLINE, _RETURN, _BLANK = 9, 10, 13, 32
_PLUS, _COMMA, _MINUS, _POINT, _ZERO, _NINE, _SEMICOLON = 43, 44, 45, 46, 48, 57, 59
_EXPONENTS = (68, 69, 100, 101)  # D of Fortran, E
_MOST_DIGITS = 18  # of a mantissa in int64
_MOST_EXPONENT = 100_000  # of which more says no more
_EXACT = 2**53  # mantissas up to this one, and powers of 10 up to 22, have no rounding
_MOST_POWER = 22
_POWERS = 10.0 ** np.arange(_MOST_POWER + 1)


@kernel
def read_numbers(text, start, stop, comma, values):
    """Read all numbers in a range of a text.

    Parameters
    ----------
    text
        uint8, bytes.
    start, stop
        The range.
    comma
        `DIVIDES` or `DECIMAL`.
    values
        float64, with room for each second byte of the range; what is read is put there.

    Returns
    -------
    n, status, at, width, ragged, last : int
        Numbers that were read; how it ended, and at which byte; numbers in the first line that
        has some; byte at which the first line begins that has others, -1 if there is none;
        numbers in the last line.

    Notes
    -----
    A number is exact as :class:`float` is: a mantissa below 2**53 times or by a power of 10 up
    to 22 is rounded once (W. D. Clinger, "How to read floating point numbers accurately",
    PLDI 1990).
    """
    n, width, ragged, last, status = 0, 0, -1, 0, DONE
    in_line, line, i = 0, start, start
    while i <= stop:
        is_end = i == stop
        if is_end or text[i] in (_NEWLINE, _RETURN):
            if in_line:
                width = width or in_line
                if in_line != width and ragged < 0:
                    ragged = line
                last = in_line
            in_line, line = 0, i + 1
            i += 1
        elif _divides(text[i], comma):
            i += 1
        else:
            status, value, after = _read_one(text, i, stop, comma)
            if status != DONE:
                return n, status, i, width, ragged, in_line
            values[n] = value
            n += 1
            in_line += 1
            i = after
    return n, DONE, stop, width, ragged, last


@kernel
def _divides(c, comma):
    """Tell whether a byte stands between numbers of a line."""
    return c in (_BLANK, _TAB, _SEMICOLON) or (c == _COMMA and comma == DIVIDES)


@kernel
def _read_one(text, i, stop, comma):
    """Read a number; return how it ended, what it is, and the byte behind it."""
    is_negative = text[i] == _MINUS
    i += text[i] in (_MINUS, _PLUS)
    mantissa, digits, decimals, is_behind, n_figures = 0, 0, 0, False, 0
    while i < stop:
        c = text[i]
        if _ZERO <= c <= _NINE:
            digits += mantissa > 0 or c > _ZERO
            mantissa = mantissa * 10 + (c - _ZERO)
            n_figures += 1
            decimals += is_behind
            if digits > _MOST_DIGITS:
                return LONG, 0.0, i
        elif not is_behind and (c == _POINT or (c == _COMMA and comma == DECIMAL)):
            is_behind = True
        else:
            break
        i += 1
    if n_figures == 0:
        return STRANGE, 0.0, i
    exponent, i = _read_exponent(text, i, stop)
    is_whole = i == stop or text[i] in (_NEWLINE, _RETURN) or _divides(text[i], comma)
    if i < 0 or not is_whole:
        return STRANGE, 0.0, i
    power = exponent - decimals if mantissa else 0
    if mantissa > _EXACT or abs(power) > _MOST_POWER:
        return LONG, 0.0, i
    value = float(-mantissa if is_negative else mantissa)
    return DONE, value / _POWERS[-power] if power < 0 else value * _POWERS[power], i


@kernel
def _read_exponent(text, i, stop):
    """Read what a number is a power of 10 of; return it and the byte behind it, -1 if none."""
    if i == stop or text[i] not in _EXPONENTS:
        return 0, i
    i += 1
    is_negative = i < stop and text[i] == _MINUS
    i += i < stop and text[i] in (_MINUS, _PLUS)
    exponent, start = 0, i
    while i < stop and _ZERO <= text[i] <= _NINE:
        exponent = min(exponent * 10 + (text[i] - _ZERO), _MOST_EXPONENT)
        i += 1
    return -exponent if is_negative else exponent, i if i > start else -1


@kernel
def describe(values):
    """Return the least and the largest of some numbers, and whether all of them are whole."""
    least, most, is_whole = 0.0, 0.0, True
    for value in values.flat:
        least, most = min(least, value), max(most, value)
        is_whole &= value == np.floor(value)
    return least, most, is_whole
