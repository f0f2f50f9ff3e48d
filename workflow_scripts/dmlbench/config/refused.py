"""Classes that a config may not name, by where they are written, each with the reason."""

REFUSED = {
    "pytorch_metric_learning.losses.smooth_ap.SmoothAPLoss": (
        "in pytorch-metric-learning 2.9.0 it cuts the batch into blocks of the wrong size unless "
        "there are as many classes as images per class, and ignores labels that are not sorted "
        "(8 perfectly separated classes of 4 images cost 0.32 instead of 0)"
    ),
}
