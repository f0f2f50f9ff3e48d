"""The one reader of the config.

Importing it imports nothing heavy: every cluster job does, and reads the stored plan.
"""

from dmlbench.config.load import load_config, resolve_config
from dmlbench.config.plan import (
    METHOD_KEYS,
    NO_SAMPLER,
    NOT_TRAINED,
    RANDOM,
    REDUCED,
    RUN_KEYS,
    SHUFFLED,
    UNTRAINED,
    Plan,
    Run,
)
from dmlbench.config.read_yaml import read_config
