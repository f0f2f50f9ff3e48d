"""From collected metrics to tables, figures and report; only one figure imports torch."""

import os

# Figures are files: a user's choice of a window system, valid or not, must not matter. matplotlib
# reads it when it is imported, which only the modules of this package do.
os.environ["MPLBACKEND"] = "Agg"
