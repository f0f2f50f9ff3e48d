"""Classes that a config may not name, by where they are written, each with the reason."""

_TWO_VIEWS = "it compares two views of each image, and a batch here has one"

REFUSED = {
    "pytorch_metric_learning.losses.dynamic_soft_margin_loss.DynamicSoftMarginLoss": (
        "in pytorch-metric-learning 2.9.0 its second step goes backward through the first one's "
        "graph, which is gone"
    ),
    "pytorch_metric_learning.losses.manifold_loss.ManifoldLoss": "it takes no labels",
    "pytorch_metric_learning.losses.self_supervised_loss.SelfSupervisedLoss": _TWO_VIEWS,
    "pytorch_metric_learning.losses.vicreg_loss.VICRegLoss": _TWO_VIEWS,
    "pytorch_metric_learning.losses.smooth_ap.SmoothAPLoss": (
        "in pytorch-metric-learning 2.9.0 it cuts the batch into blocks of the wrong size unless "
        "there are as many classes as images per class, and ignores labels that are not sorted "
        "(8 perfectly separated classes of 4 images cost 0.32 instead of 0)"
    ),
}
