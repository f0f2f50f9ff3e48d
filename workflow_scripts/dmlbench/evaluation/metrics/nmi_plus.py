"""NMI+."""

from dmlbench.config.dataset_facts import clusters_per_class
from dmlbench.evaluation.clustering import MutualInformation, measures
from dmlbench.evaluation.metric import Sample, register_metric


@register_metric("nmi_plus", measures=measures("nmi_plus", "NMI+", printed=True))
class NMIPlus(MutualInformation):
    """NMI with several clusters for each class (EPS, section 5)."""

    def per_class(self, sample: Sample) -> int | None:
        return clusters_per_class(sample.settings, sample.label)
