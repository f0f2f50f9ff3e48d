"""From collected metrics to tables, figures and report; only one figure imports torch."""
