"""What is measured without a training: vectors that another model made, and the controls. These are
random vectors, and a backbone's features as they are or reduced.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch.nn.functional as F
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits
from torch import Tensor, from_numpy, nn

from dmlbench.config import RANDOM, REDUCED, Plan, Run
from dmlbench.data.features import reader_of
from dmlbench.data.splits import index_of
from dmlbench.data.store import ImageStore
from dmlbench.data.vectors import imported_vectors
from dmlbench.errors import ConfigError
from dmlbench.models.embedder import Embedder
from dmlbench.seeding import derive_seed
from dmlbench.training.device import (
    embed_all,
    make_deterministic,
    pick_device,
    seed_everything,
)
from dmlbench.workflow.provenance import hardware


def control_embedder(plan: Plan, run: Run, store: ImageStore) -> tuple[Callable, dict]:
    """What gives embeddings for rows of a dataset's index, and facts for the run's record.

    Raises:
        ConfigError: There are too few features to reduce.
        DataError: Vectors of another model are missing or damaged.
    """
    if run.features:
        nothing = {"device": "cpu", "gpu": None, "initial_weights": None}
        return imported_vectors(plan, run, store.index), nothing
    if run.loss == RANDOM:
        return _random_vectors(plan, run, store)
    embedder, facts = _backbone_features(plan, run)
    if run.loss == REDUCED:
        embedder = _reduced(embedder, plan, run)
    return embedder, facts


def _random_vectors(plan: Plan, run: Run, store: ImageStore) -> tuple[Callable, dict]:
    """Normal vectors, one for each image of the dataset whatever its split."""
    recipe = plan.recipes[run.recipe]
    rng = np.random.default_rng(derive_seed("random embedding", run.seed))
    vectors = rng.standard_normal((len(store.index), recipe["embedding_dim"]), dtype=np.float32)
    if recipe["normalize"]:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.__getitem__, {"device": "cpu", "gpu": None, "initial_weights": None}


def _backbone_features(plan: Plan, run: Run) -> tuple[Callable, dict]:
    """The backbone's features with the weights that a training of this seed starts from."""
    recipe, threads = plan.recipes[run.recipe], plan.benchmark.resources.train.threads
    make_deterministic(threads)
    device = pick_device(recipe["device"])
    reader = reader_of(plan, run, threads, device)
    seed_everything(derive_seed("initial weights", recipe["backbone"], run.seed))
    model = Embedder(recipe, **reader.input).to(device)
    facts = {"device": str(device), "initial_weights": model.sha256(), **hardware(device)}
    # The head is random before any training: it would only blur what the backbone knows.
    model.head = nn.Identity()
    return partial(embed_all, model, reader), facts


def _reduced(features: Callable, plan: Plan, run: Run) -> Callable:
    """``features`` by their first principal components, as many as an embedding has numbers.

    Those of the training images, whose labels are not looked at; their mean is taken off.
    """
    recipe = plan.recipes[run.recipe]
    dim = recipe["embedding_dim"]
    seen = features(np.flatnonzero(index_of(plan, run)["split"] == "train")).cpu().numpy()
    if min(seen.shape) < dim:
        raise ConfigError(
            f"controls: pca: {seen.shape[0]} training images with {seen.shape[1]} features cannot "
            f"be reduced to embedding_dim {dim}; leave pca out"
        )
    # Sums over another number of threads differ in the last digit.
    one_thread = partial(threadpool_limits, 1, user_api="blas")
    with one_thread():
        components = PCA(dim, svd_solver="covariance_eigh").fit(seen)

    def reduced(rows: np.ndarray) -> Tensor:
        made = features(rows).cpu().numpy()
        with one_thread():
            vectors = from_numpy(components.transform(made))
        return F.normalize(vectors, dim=1) if recipe["normalize"] else vectors

    return reduced
