"""``rsciio-xfm classify``."""

from pathlib import Path

import click
from click.core import ParameterSource

from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, select
from rsciio_xfm.cli._options import (
    energy_option,
    n_classes_option,
    output_options,
    region_options,
)
from rsciio_xfm.cli._outputs import check_folder
from rsciio_xfm.cli._says import region_size
from rsciio_xfm.cli._values import AUTO, FILE, FiniteRange, WholeRange


@click.command()
@click.argument("file", type=FILE)
@region_options
@n_classes_option(1, 6)
@click.option(
    "--reducer",
    type=click.Choice(["umap", "pca"]),
    default="umap",
    show_default=True,
    help="What the embedding is made by; pca is faster.",
)
@click.option(
    "--classifier",
    type=click.Choice(["kmeans", "hdbscan"]),
    default="kmeans",
    show_default=True,
    help="hdbscan finds the number of classes itself.",
)
@click.option(
    "--on",
    "classify_on",
    type=click.Choice(["pca", "embedding"]),
    default="pca",
    show_default=True,
    help="What the classifier looks at.",
)
@click.option(
    "--n-pca",
    type=WholeRange(1, 50),
    default=10,
    show_default=True,
    help="Principal components.",
)
@click.option(
    "--scaling",
    type=click.Choice(["poisson", "sqrt", "log", "none"]),
    default="poisson",
    show_default=True,
    help="Of the counts.",
)
@energy_option("Energies that are looked at.")
@click.option(
    "--min-counts",
    type=FiniteRange(min=0),
    default=1.0,
    show_default=True,
    help="Pixels with fewer counts are left out.",
)
@click.option(
    "--seed",
    type=WholeRange(min=0),
    default=0,
    show_default=True,
    help="Random seed.",
)
@output_options("Folder.")
def classify(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
    n_classes: int | str,
    reducer: str,
    classifier: str,
    classify_on: str,
    n_pca: int,
    scaling: str,
    energy: tuple[float, float] | None,
    min_counts: float,
    seed: int,
    output: Path,
    overwrite: bool,
) -> None:
    """Find classes of the spectra in FILE and write them to a folder.

    For each class an .msa with the sum of its spectra and its live time, the map of the
    classes (labels.tif, -1 where there is none), a table and a picture.
    """
    with errors_as_messages():
        source = click.get_current_context().get_parameter_source("n_classes")
        if classifier == "hdbscan" and source != ParameterSource.DEFAULT:
            raise click.ClickException(
                "--n-classes is not for hdbscan, which finds it out"
            )
        from rsciio_xfm.signals.results import results_in

        check_folder(output, results_in(output), overwrite)
        region = select(load_map(file, detector), x, y)
        options = {
            "scaling": scaling,
            "energy_range": energy,
            "min_counts": min_counts,
        }
        if n_classes == AUTO:
            n_classes = region.estimate_n_classes(
                n_components=n_pca, random_state=seed, **options
            )
        found = region.classify(
            reducer=reducer,
            classifier=classifier,
            n_classes=n_classes,
            random_state=seed,
            n_pca=n_pca,
            classify_on=classify_on,
            **options,
        )
        n = len(found.sums)
        click.echo(f"{file}: {n} class{'es' * (n > 1)} of {region_size(region)} pixels")
        for path in found.save(output, overwrite=overwrite):
            click.echo(f"Wrote  {path}")
