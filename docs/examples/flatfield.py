"""
Flat field of images
====================

A diatom: images of a beam that drifts, divided by flat fields taken before and after.
Needs the extra ``esrf``, for EDF files.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm.analysis import flatfield

# %%
# A synthetic scan. First the sample, a round shell of silica with a rim, ribs and rows
# of pores between them, which moves during the scan.
rng = np.random.default_rng(1)
n_frames, n_rows, n_cols = 11, 270, 320
y, x = np.mgrid[:n_rows, :n_cols].astype(float)


def diatom(x0, y0):
    """Return how much of the beam goes through."""
    radius, angle = np.hypot(x - x0, y - y0), np.arctan2(y - y0, x - x0)
    shell = 1 / (1 + np.exp(radius - 96))
    rim = np.exp(-(((radius - 91) / 4) ** 2))
    centre = np.exp(-((radius / 11) ** 2))
    ribs = 0.5 + 0.5 * np.cos(36 * angle)
    pores = ribs**2 * (0.5 + 0.5 * np.cos(2 * np.pi * radius / 9)) ** 2
    pores *= (radius > 20) & (radius < 85)
    return np.exp(-shell * (0.32 - 0.25 * pores) - 0.3 * rim - 0.2 * centre)


# %%
# The beam: stripes of the mirrors on a slope, which both change during the scan.
def beam(time):
    """Return counts, from time 0 at the first frame to 1 at the last one."""
    stripes = 0.16 * np.sin(y / 3.1 + 0.4 * np.sin(x / 60)) + 0.1 * np.sin(y / 11)
    other = 0.16 * np.sin(y / 3.7 + 1) + 0.12 * np.sin(y / 17 + x / 90)
    start = 1 + stripes + 0.35 * (x / n_cols - 0.5)
    stop = 0.8 + other - 0.1 * (x / n_cols - 0.5) + 0.2 * (y / n_rows - 0.5)
    return 28_000 * ((1 - time) * start + time * stop)


# %%
# The detector: pixels of different gain, a dark current that some have much of (hot),
# and some that see no light (dead).
gain = rng.normal(1, 0.03, y.shape)
current = 100 + 20 * (y / n_rows) ** 2 + rng.normal(0, 4, y.shape)
current.flat[rng.choice(y.size, 60, replace=False)] = 3000
gain.flat[rng.choice(y.size, 12, replace=False)] = 0


def expose(light):
    """Return a frame of the detector, with the noise of the photons."""
    return (rng.poisson(light * gain) + current).astype(np.uint16)


times = np.linspace(0, 1, n_frames)
scan = np.array([expose(beam(t) * diatom(125 + 70 * t, 135)) for t in times])
hs.signals.Signal2D(scan).save("example_data.edf", overwrite=True)
hs.signals.Signal2D(expose(beam(0) * 0)).save("example_dark.edf", overwrite=True)
hs.signals.Signal2D(expose(beam(0))).save("example_flat_0.edf", overwrite=True)
hs.signals.Signal2D(expose(beam(1))).save("example_flat_1.edf", overwrite=True)

# %%
# The exercise: (raw - dark) / (flat - dark). One image first, with the flat taken
# before.
scan = hs.load("example_data.edf", lazy=True)
dark = hs.load("example_dark.edf")
flats = hs.stack([hs.load("example_flat_0.edf"), hs.load("example_flat_1.edf")])
image = flatfield.correct(scan.inav[0], flats.inav[0], dark)

# %%
# All frames with this flat, and with the two flats interpolated. Dead pixels, where the
# flat is the dark, are told of and become NaN. Nothing is computed before it is asked
# for.
with_one = flatfield.correct(scan, flats.inav[0], dark)
with_two = flatfield.correct(scan, flats, dark)

# %%
# Beside the sample all should be 1, but for the noise of the photons.
background = np.hypot(x - 160, y - 135) > 140
results = {"one image": image, "one flat": with_one, "two flats": with_two}
spreads = {}
for name, result in results.items():
    frames = np.asarray(result.data).reshape(-1, n_rows, n_cols)
    spreads[name] = 100 * np.nanstd(frames[:, background], axis=1)
    print(
        f"{name}: the background varies by {spreads[name].max():.2f} % in the worst frame"
    )

# %%
figure, axes = plt.subplots(2, 4, figsize=(13, 5.2), layout="constrained")
counts = {"vmin": 0, "vmax": 45_000}
panels = {
    "flat, before": (flats.inav[0], counts),
    "flat, after": (flats.inav[1], counts),
    "dark": (dark, {"vmin": 80, "vmax": 140}),
    "raw, frame 5": (scan.inav[5], counts),
    "one flat, frame 0": (image, {"vmin": 0.4, "vmax": 1.2}),
    "one flat, frame 5": (with_one.inav[5], {"vmin": 0.4, "vmax": 1.2}),
    "two flats, frame 5": (with_two.inav[5], {"vmin": 0.4, "vmax": 1.2}),
}
for ax, (title, (shown, limits)) in zip(axes.flat, panels.items(), strict=False):
    drawn = ax.imshow(np.asarray(shown.data), cmap="gray", **limits)
    figure.colorbar(drawn, ax=ax, shrink=0.8)
    ax.set_title(title)
    ax.set_axis_off()
axes[1, 3].semilogy(spreads["one flat"], "o-", label="one flat")
axes[1, 3].semilogy(spreads["two flats"], "o-", label="two flats")
axes[1, 3].set(
    title="background",
    xlabel="frame",
    xticks=range(0, n_frames, 2),
    ylabel="standard deviation (%)",
    box_aspect=0.8,
)
axes[1, 3].legend()
