"""`dvc repro` on fresh machines."""

import pytest
from dvc_clones import trainings
