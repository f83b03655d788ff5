"""Counts of made files of JEOL, and reading them."""

import warnings

import numpy as np
import rsciio.jeol

from rsciio_xfm import jeol
from tests.builders import jeol as builder


def frames(shape=builder.SHAPE, numbers=range(builder.N_FRAMES)):
    """Return the counts of some frames of a made file."""
    counts = np.zeros((len(numbers), *shape, builder.N_CHANNELS), np.uint16)
    for i, frame in enumerate(numbers):
        for y, x in np.ndindex(*shape):
            np.add.at(counts[i, y, x], builder.events_of(frame, y, x), 1)
    return counts


def counts(shape=builder.SHAPE, frames_read=range(builder.N_FRAMES)):
    """Return their sum."""
    return frames(shape, frames_read).sum(axis=0)


def read(path, **options):
    (found,) = jeol.file_reader(path, **options)
    return found


def read_all(path, **options):
    """Read all frames, whole or not, without a word."""
    return read(path, only_valid_data=False, **options)


def theirs(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves files open
        return rsciio.jeol.file_reader(str(path), SI_dtype=np.uint16, **options)


def eds_of(found):
    instrument = found["metadata"]["Acquisition_instrument"]
    return instrument.get("SEM", instrument.get("TEM"))["Detector"]["EDS"]


def dead_of(found):
    return eds_of(found)["_sig_dead_time"]["data"]
