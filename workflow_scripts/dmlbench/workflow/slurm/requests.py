"""What jobs ask Slurm for."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Request:
    """One rule's request.

    Attributes:
        rule: Its name, or several.
        partition: None takes the cluster's default.
        gpus: How many GPUs.
        model: Which kind; None takes any.
        gres: Another generic resource, such as ``shard:1``.
        cpus: Cores.
        mem_mb: Megabytes, on the last try.
        minutes: Time limit, on the last try.
        others: More of sbatch's options, such as the account.
    """

    rule: str
    partition: str | None
    gpus: int
    model: str | None
    gres: str | None
    cpus: int
    mem_mb: int
    minutes: int
    others: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """The same for sbatch."""
        gpu = f"--gpus={self.model}:{self.gpus}" if self.model else f"--gpus={self.gpus}"
        chosen = [f"--partition={self.partition}"] if self.partition else []
        chosen += [gpu] if self.gpus else []
        chosen += [f"--gres={self.gres}"] if self.gres else []
        size = [f"--cpus-per-task={self.cpus}", f"--mem={self.mem_mb}", f"--time={self.minutes}"]
        return [*chosen, *size, *self.others]

    def small(self) -> "Request":
        """The same place, with next to nothing asked of it."""
        return replace(self, rule="", cpus=1, mem_mb=min(self.mem_mb, 500), minutes=5)


def request_of(rule: str, resources: dict, threads: int) -> Request:
    """What Snakemake's Slurm plugin makes of a rule's resources.

    Args:
        rule: Its name.
        resources: By name: a dict, or Snakemake's list of them, whose ``in`` looks at values.
        threads: Of the rule.
    """
    flags = {"slurm_account": "account", "qos": "qos", "constraint": "constraint"}
    given = [f"--{flag}={resources.get(key)}" for key, flag in flags.items() if resources.get(key)]
    return Request(
        rule=rule,
        partition=resources.get("slurm_partition"),
        gpus=resources.get("gpu") or (1 if resources.get("gpu_model") else 0),
        model=resources.get("gpu_model"),
        gres=resources.get("gres"),
        cpus=threads,
        mem_mb=resources["mem_mb"],
        minutes=resources["runtime"],
        others=(*given, *shlex.split(resources.get("slurm_extra") or "")),
    )


def together(requests: Iterable[Request]) -> list[Request]:
    """The same with one for all rules that ask for the same, named by all of them."""
    rules: dict[Request, list[str]] = {}
    for request in requests:
        rules.setdefault(replace(request, rule=""), []).append(request.rule)
    return [replace(request, rule=", ".join(names)) for request, names in rules.items()]
