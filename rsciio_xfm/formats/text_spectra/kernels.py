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
    n, width, ragged, last = 0, 0, -1, 0
    in_line, line = 0, start
    i = start
    while i < stop:
        c = text[i]
        if c == _NEWLINE or c == _RETURN:
            if in_line:
                if width == 0:
                    width = in_line
                elif in_line != width and ragged < 0:
                    ragged = line
                last = in_line
            in_line, line = 0, i + 1
            i += 1
            continue
        if (
            c == _BLANK
            or c == _TAB
            or c == _SEMICOLON
            or (c == _COMMA and comma == DIVIDES)
        ):
            i += 1
            continue
        first = i
        is_negative = c == _MINUS
        if is_negative or c == _PLUS:
            i += 1
        mantissa, digits, decimals, is_behind, n_figures = 0, 0, 0, False, 0
        while i < stop:
            c = text[i]
            if _ZERO <= c <= _NINE:
                mantissa = mantissa * 10 + (c - _ZERO)
                digits += mantissa > 0
                n_figures += 1
                decimals += is_behind
                if digits > _MOST_DIGITS:
                    return n, LONG, first, width, ragged, in_line
            elif not is_behind and (c == _POINT or (c == _COMMA and comma == DECIMAL)):
                is_behind = True
            else:
                break
            i += 1
        if n_figures == 0:
            return n, STRANGE, first, width, ragged, in_line
        power = -decimals
        if i < stop and text[i] in _EXPONENTS:
            i += 1
            is_small = i < stop and text[i] == _MINUS
            if i < stop and (text[i] == _MINUS or text[i] == _PLUS):
                i += 1
            exponent, n_figures = 0, 0
            while i < stop and _ZERO <= text[i] <= _NINE:
                exponent = min(exponent * 10 + (text[i] - _ZERO), 100_000)
                n_figures += 1
                i += 1
            if n_figures == 0:
                return n, STRANGE, first, width, ragged, in_line
            power += -exponent if is_small else exponent
        if i < stop:
            c = text[i]
            if not (
                c == _BLANK
                or c == _NEWLINE
                or c == _RETURN
                or c == _TAB
                or c == _SEMICOLON
                or (c == _COMMA and comma == DIVIDES)
            ):
                return n, STRANGE, first, width, ragged, in_line
        if mantissa == 0:
            power = 0
        if mantissa > _EXACT or power > _MOST_POWER or power < -_MOST_POWER:
            return n, LONG, first, width, ragged, in_line
        value = float(mantissa)
        if power < 0:
            value /= _POWERS[-power]
        else:
            value *= _POWERS[power]
        values[n] = -value if is_negative else value
        n += 1
        in_line += 1
    if in_line:
        if width == 0:
            width = in_line
        elif in_line != width and ragged < 0:
            ragged = line
        last = in_line
    return n, DONE, stop, width, ragged, last


@kernel
def describe(values):
    """Return the least and the largest of some numbers, and whether all of them are whole."""
    least, most, is_whole = 0.0, 0.0, True
    for value in values.flat:
        least, most = min(least, value), max(most, value)
        is_whole &= value == np.floor(value)
    return least, most, is_whole
