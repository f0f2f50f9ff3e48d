"""Normalised mutual information."""

from dmlbench.evaluation.clustering import MutualInformation, measures
from dmlbench.evaluation.metric import register_metric


@register_metric("nmi", measures=measures("nmi", "NMI", printed=True))
class NMI(MutualInformation):
    """Normalised mutual information with as many clusters as classes (EPS, section 5)."""
