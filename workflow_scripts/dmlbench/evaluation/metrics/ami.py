"""Adjusted mutual information."""

from dmlbench.evaluation.clustering import MutualInformation, measures
from dmlbench.evaluation.metric import register_metric


@register_metric("ami", measures=measures("ami", "AMI", printed=False, low=-1.0))
class AMI(MutualInformation):
    """Mutual information adjusted for chance (Vinh et al. 2010)."""

    adjusted = True
