"""
Processes and clusters: dask.distributed
========================================

The same signal, computed by worker processes, each with little memory. What is sent to
them is the name of the file and where its rows lie.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

from rsciio_xfm import data


def main():
    """Sum a map in two processes that may use 600 MB each."""
    rock = data.thin_section("example.GeoPIXE", overwrite=True)
    s = hs.load(rock.path, lazy=True)
    here = s.get_summary()

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="600MB")
    with cluster, Client(cluster) as client:
        print(client)
        there = s.get_summary()
        images = s.get_window_images(["Fe_Ka", "Ca_Ka"])
        highest = client.compute(
            s.data.max(axis=(0, 1))
        ).result()  # dask's own, by chunks

    print(images["Fe_Ka"])
    print(f"{s.data.nbytes / 1e9:.2f} GB of spectra")
    assert np.array_equal(here["sum"].data, there["sum"].data)
    assert np.array_equal(here["max"].data, highest)
    print("the same counts, channel by channel")
    draw(images["Fe_Ka"].data, np.cumsum(s.data.chunks[0]))


def draw(image, ends):
    """Draw what the workers found, and where the map was cut for them."""
    figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
    drawn = ax.imshow(image, cmap="inferno", vmax=np.percentile(image, 99.5))
    figure.colorbar(drawn, label="Counts, Fe Kα")
    for end in ends[:-1]:
        ax.axhline(end - 0.5, color="white", lw=1.5, ls="--")
    ax.set_title(f"{len(ends)} chunks of rows, 2 processes")
    ax.set_axis_off()


# %%
# Worker processes start by importing the script: hence the guard, which a notebook does
# not need.
if __name__ == "__main__":
    main()
