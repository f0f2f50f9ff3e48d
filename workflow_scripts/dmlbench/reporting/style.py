"""One look for all figures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns

from dmlbench.files import replacing

#: Okabe and Ito 2008: ten classes at most are told apart by a colour-blind reader, with markers.
PALETTE = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#56B4E9", "#000000", "#F0E442", "#999999", "#882255",
]  # fmt: skip
DASHES = ["-", "--", ":", "-."]


@contextmanager
def paper_style() -> Iterator[None]:
    """Small serif-free type, thin axes, editable text in PDF."""
    settings = {
        "font.size": 8,
        "axes.titlesize": 8,
        "legend.fontsize": 7,
        "axes.linewidth": 0.6,
        "pdf.fonttype": 42,
        "savefig.dpi": 200,
        "savefig.bbox": "tight",
    }
    with sns.axes_style("ticks"), plt.rc_context(settings):
        yield


def method_styles(methods: Sequence[str]) -> dict[str, dict]:
    """Colour and dashes of each method, the same in every figure of an experiment."""
    count = len(PALETTE)
    return {
        method: {"color": PALETTE[i % count], "linestyle": DASHES[i // count % len(DASHES)]}
        for i, method in enumerate(methods)
    }


def save(figure: plt.Figure, out: Sequence[Path]) -> None:
    """Write the figure under each name, without time stamps, so that equal figures are equal."""
    for path in out:
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata)
    plt.close(figure)
