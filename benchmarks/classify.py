"""Classification of a map of known phases beside HyperSpy and dense scikit-learn.

    python benchmarks/classify.py [--repeats 3] [--folder /tmp] [--only classes|umap]

makes EDAX maps of 1000 x 1000 and of 500 x 500 pixels with 1024 channels and six phases,
about 400 counts a pixel, and prints a table: time, time per pixel, peak memory beyond the
imports, and the adjusted Rand index against the phases that were put in. Linux only.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np
from edax import write_header

SIZES = {"1M": 1000, "250k": 500}
N_CHANNELS = 1024
COUNTS = 400
_VARIANTS = 512


def ours(path):
    import hyperspy.api as hs

    import rsciio_xfm.signals  # noqa: F401

    warm_up()

    def run():
        s = hs.load(path, lazy=True)
        labels = s.kmeans(6, show_progressbar=False)
        return agreement(path, labels.data)

    return run


def ours_classify(path):
    import hyperspy.api as hs

    import rsciio_xfm.signals  # noqa: F401

    warm_up()

    def run():
        s = hs.load(path, lazy=True)
        return agreement(path, s.classify("pca", show_progressbar=False).labels.data)

    return run


def ours_umap(path):
    import hyperspy.api as hs
    import umap  # noqa: F401

    import rsciio_xfm.signals  # noqa: F401

    warm_up()

    def run():
        s = hs.load(path, lazy=True)
        return agreement(path, s.classify("umap", show_progressbar=False).labels.data)

    return run


def hyperspy(is_lazy):
    def case(path):
        import hyperspy.api as hs
        import rsciio.edax
        import sklearn.cluster  # noqa: F401

        def run():
            s = hs.load(path, lazy=is_lazy, file_format=rsciio.edax)
            s.change_dtype("float32")
            options = {
                "output_dimension": 10,
                "svd_solver": "randomized",
                "print_info": False,
            }
            s.decomposition(True, **options)
            s.cluster_analysis(
                "decomposition",
                n_clusters=6,
                number_of_components=10,
                source_for_centers="decomposition",
                n_init=5,
                random_state=0,
            )
            return agreement(path, s.get_cluster_labels(merged=True).data)

        return run

    return case


def dense(path):
    """What ReadoutXFM does, without UMAP: PCA and K-means of scikit-learn, all in memory."""
    import rsciio.edax
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    def run():
        data = rsciio.edax.file_reader(path)[0]["data"]
        shape = data.shape[:2]
        data = data.reshape(-1, data.shape[-1]).astype(np.float32)
        scores = PCA(10, random_state=0).fit_transform(data)
        labels = KMeans(6, n_init=5, random_state=0).fit_predict(scores)
        return agreement(path, labels.reshape(shape))

    return run


CLASSES = {
    "250k: dense scikit-learn": dense,
    "250k: HyperSpy, decomposition and cluster_analysis": hyperspy(False),
    "250k: HyperSpy, the same, lazy": hyperspy(True),
    "250k: s.kmeans(6)": ours,
    "1M: s.kmeans(6)": ours,
    '1M: s.classify("pca"), with the spectra of the classes': ours_classify,
}
UMAP = {'250k: s.classify("umap")': ours_umap}
CASES = CLASSES | UMAP


def agreement(path, labels):
    from sklearn.metrics import adjusted_rand_score

    truth = np.load(Path(path).with_suffix(".npy"))
    return f"{adjusted_rand_score(truth.ravel(), np.asarray(labels).ravel()):.3f}"


def warm_up():
    """Import what is needed and load the compiled kernels, on a small map."""
    import hyperspy.api as hs

    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.spd"
        write_phases(small, 20)
        hs.load(small, lazy=True).classify("pca", show_progressbar=False)


def write_phases(path, size):
    """Write a map of grains of six phases, a byte a channel, and their numbers as .npy."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.builders import phantom

    rng = np.random.default_rng(0)
    known = phantom.spectra()
    energy = np.arange(N_CHANNELS) / 2
    known = np.stack([np.interp(energy, np.arange(512), s) / 2 for s in known])
    pool = rng.poisson(COUNTS * known[:, np.newaxis], (6, _VARIANTS, N_CHANNELS))
    pool = pool.astype(np.uint8)
    centres, phases = rng.uniform(0, size, (60, 2)), np.arange(60) % 6
    x = np.arange(size)
    truth = np.empty((size, size), np.int8)
    with open(path, "wb") as file:
        write_header(file, (size, size, N_CHANNELS))
        for y in range(size):
            distance = np.hypot(x[:, np.newaxis] - centres[:, 0], y - centres[:, 1])
            truth[y] = phases[distance.argmin(axis=1)]
            file.write(pool[truth[y], rng.integers(0, _VARIANTS, size)].tobytes())
    np.save(path.with_suffix(".npy"), truth)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--only", choices=["classes", "umap"])
    arguments = parser.parse_args()
    cases = {"classes": CLASSES, "umap": UMAP}
    wanted = cases[arguments.only] if arguments.only else CASES
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        paths = {}
        for name, size in SIZES.items():
            paths[name] = Path(folder) / f"{name}.spd"
            write_phases(paths[name], size)
        print("| what | time (s) | µs per pixel | peak memory (MiB) | agreement |")
        print("|---|---|---|---|---|")
        for case in wanted:
            name = case.split(":", maxsplit=1)[0]
            _runner.read(str(paths[name]))
            n_repeats = 1 if case in UMAP or "HyperSpy" in case or "dense" in case else 0
            runs = [
                _runner.run(__file__, case, str(paths[name]))
                for _ in range(n_repeats or arguments.repeats)
            ]
            seconds = float(np.median([run["seconds"] for run in runs]))
            peak = max(run["peak"] for run in runs) / 2**20
            per_pixel = seconds / SIZES[name] ** 2 * 1e6
            result = runs[0]["result"]
            print(f"| {case} | {seconds:.2f} | {per_pixel:.1f} | {peak:.0f} | {result} |")
            sys.stdout.flush()


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
