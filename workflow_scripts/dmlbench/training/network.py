"""One batch through the network and back: whole or in chunks, at the recipe's precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_paths import said


@dataclass(frozen=True)
class Network:
    """Embeds batches, and takes the loss's gradient at the embeddings back to the weights.

    Attributes:
        model: B x C x H x W images to B x D embeddings.
        half: Run it under autocast to bfloat16.
        tf32: Have a GPU round the factors of its products to TF32. A CPU does not.
        chunk: Images that go through it at a time; None for all. Each chunk is embedded without
            gradient first, and once more when the gradient of the whole batch is known (GradCache,
            Gao et al. 2021, section 3), so that activations of one chunk are held.
        features: Have the model give its features too, behind the embeddings, in the same pass.
    """

    model: nn.Module
    half: bool = False
    tf32: bool = False
    chunk: int | None = None
    features: bool = False

    def embed(self, images: torch.Tensor) -> tuple[torch.Tensor, Callable[[], None]]:
        """The embeddings of ``images``, and what takes their gradient back to the weights.

        The loss works on a copy that the network's graph is not tied to: what is rounded in the
        network is not rounded in the loss.
        """
        if self.chunk:
            return self._in_chunks(images, self.chunk)
        embeddings = self._run(images)
        leaf = embeddings.detach().requires_grad_()

        def backward() -> None:
            if leaf.grad is not None:
                with tensor_cores(self.tf32):
                    embeddings.backward(leaf.grad)

        return leaf, backward

    def _in_chunks(
        self, images: torch.Tensor, size: int
    ) -> tuple[torch.Tensor, Callable[[], None]]:
        chunks = images.split(size)
        with torch.no_grad():
            leaf = torch.cat([self._run(chunk) for chunk in chunks])
        leaf.requires_grad_()

        def backward() -> None:
            gradients = leaf.grad.split(size) if leaf.grad is not None else ()
            for chunk, gradient in zip(chunks, gradients, strict=False):
                with tensor_cores(self.tf32):
                    self._run(chunk).backward(gradient)

        return leaf, backward

    def _run(self, images: torch.Tensor) -> torch.Tensor:
        autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=self.half)
        with tensor_cores(self.tf32), autocast:
            return self.model(images, with_features=True) if self.features else self.model(images)


@contextmanager
def tensor_cores(enabled: bool) -> Iterator[None]:
    """While this lasts, a GPU may round the factors of float32 products to TF32, if enabled."""
    if not enabled:
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def check_batch_norm(model: nn.Module) -> None:
    """Refuse chunks for a network, in training mode, whose live batch norm a ConfigError names."""
    live = [k for k, m in model.named_modules() if isinstance(m, _BatchNorm) and m.training]
    if live:
        raise ConfigError(
            f"chunk: batch norm {live[0]} would see one chunk at a time; take freeze: batch_norm, "
            "or leave chunk out"
        )


def check_dropout(model: nn.Module) -> None:
    """Refuse chunks for a network, in training mode, with dropout that a ConfigError names."""
    for name, module in model.named_modules():
        share = module.p if isinstance(module, _DropoutNd) else getattr(module, "drop_prob", None)
        if share and module.training:
            raise ConfigError(
                f"chunk: dropout {name} differs between the two passes; leave chunk out"
            )


def check_chunks(model: nn.Module, images: torch.Tensor) -> None:
    """Refuse chunks for a network, in training mode, that embeds an image otherwise in another one.

    ``images``, B x C x H x W, must differ; they are embedded whole and in halves. A ConfigError
    names the live batch norm, or says that something is random.
    """
    check_batch_norm(model)
    with _own_randomness(images.device), torch.no_grad():
        before = _random_state(images.device)
        whole = model(images)
        if not torch.equal(before, _random_state(images.device)):
            raise ConfigError(
                "chunk: the network has dropout or another random part, which differs between "
                "the two passes; leave chunk out"
            )
        halves = torch.cat([model(half) for half in images.split(len(images) // 2)])
    # Of the largest number: another size of the batch may round otherwise.
    if (whole - halves).abs().max() > 1e-3 * whole.abs().max():
        raise ConfigError("chunk: this network embeds each image by the others; leave chunk out")


def compile_network(model: nn.Module, images: torch.Tensor) -> None:
    """Compile ``model`` in place, and try it on ``images``; names of weights stay as they are.

    A ConfigError says why it cannot be compiled.
    """
    model.compile()
    training = model.training
    try:
        with _own_randomness(images.device), torch.no_grad():
            model.eval()(images)
    except Exception as error:  # whatever the compiler, or the one that it calls, raises
        raise ConfigError(f"compile: {said(error)[:200]}; leave it out") from error
    finally:
        model.train(training)


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def _random_state(device: torch.device) -> torch.Tensor:
    cuda = device.type == "cuda"
    return torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
