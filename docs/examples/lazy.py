"""
Memory: what is read when
=========================

A map on disk, dense 0.7 GB, and what is needed beyond the imports to open it, sum it,
look at a region and make images.
"""

import threading
import time
import tracemalloc

import hyperspy.api as hs
import matplotlib.pyplot as plt

from rsciio_xfm import data

rock = data.thin_section("example.GeoPIXE", (256, 352), n_detectors=1, overwrite=True)

# %%
# The memory that Python and numpy use is looked at all the time, while things are done
# one after the other. (``cache=False``: as when a file is opened for the first time,
# and its records are indexed.)
seen, stopped = [], threading.Event()


def watch():
    """Note how much memory is in use, 200 times a second."""
    while not stopped.wait(0.005):
        seen.append((time.perf_counter(), tracemalloc.get_traced_memory()[0] / 2**20))


def run(name, function):
    """Do something, and note when."""
    start = time.perf_counter()
    result = function()
    steps.append((name, start, time.perf_counter()))
    time.sleep(0.3)
    return result


warm_up = hs.load(rock.path, lazy=True)  # compiled kernels are loaded once
warm_up.inav[:2, :2].get_window_images(["Fe_Ka"])
warm_up.inav[:2, :2].get_summary()

# %%
steps = []
tracemalloc.start()
watcher = threading.Thread(target=watch)
watcher.start()
time.sleep(0.3)
s = run("open", lambda: hs.load(rock.path, lazy=True, cache=False))
summary = run("sum, mean,\nmaximum", s.get_summary)
lines = ["Ca_Ka", "Ti_Ka", "Fe_Ka", "Cu_Ka"]
images = run("4 images", lambda: s.get_window_images(lines))
region = run("region", lambda: s.inav[100:140, 50:90].get_summary())
stopped.set()
watcher.join()
highest = tracemalloc.get_traced_memory()[1] / 2**20
tracemalloc.stop()

# %%
# The curve is what is needed; the lines are the sizes of the map and of the file.
start = seen[0][0]
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
ax.plot([t - start for t, _ in seen], [memory for _, memory in seen], "k")
dense = s.data.nbytes / 2**20
ax.axhline(dense, label=f"the map, dense: {dense:.0f} MiB")
size = rock.path.stat().st_size / 2**20
ax.axhline(size, color="C1", label=f"the file: {size:.0f} MiB")
for number, (name, begin, end) in enumerate(steps):
    ax.axvspan(begin - start, end - start, color=f"C{number + 2}", alpha=0.3)
    ax.text((begin + end) / 2 - start, dense / 2, name, ha="center", va="center")
ax.set(xlabel="Time (s)", ylabel="Memory (MiB)")
ax.legend()
for name, begin, end in steps:
    print(f"{' '.join(name.split())}: {end - begin:.2f} s")
print(f"at most {highest:.0f} MiB")

# %%
# The lazy array has chunks of whole rows with all channels: this is what is in memory
# at a time, for each thread, when something is computed that has to see the counts as
# an array.
print(s.data.chunksize, f"{s.data.blocks[0].nbytes / 2**20:.0f} MiB")
s.data
