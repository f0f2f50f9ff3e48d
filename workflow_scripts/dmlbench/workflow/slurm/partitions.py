"""What a cluster's partitions have, and whether a request fits into one."""

import re
from dataclasses import dataclass, field

from dmlbench.workflow.slurm.commands import ask, minutes
from dmlbench.workflow.slurm.requests import Request

#: Columns of sinfo: name, state, time limit, MB and cores of a node, its generic resources.
_COLUMNS = "%P|%a|%l|%m|%c|%G"


@dataclass
class Partition:
    """One partition.

    Attributes:
        up: Whether it takes jobs.
        minutes: Its time limit; None has none.
        nodes: MB, cores and GPUs (by model; "" without one) of each kind of node.
    """

    up: bool
    minutes: float | None
    nodes: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)


def partitions() -> tuple[dict[str, Partition], str | None]:
    """All partitions by name, and the name of the default one.

    Raises:
        SlurmError: sinfo does not say.
    """
    found: dict[str, Partition] = {}
    default = None
    for line in ask("sinfo", "--noheader", "--all", f"--format={_COLUMNS}").splitlines():
        name, state, limit, memory, cores, gres = line.strip().split("|")
        if name.endswith("*"):
            default = name = name.removesuffix("*")
        partition = found.setdefault(name, Partition(state == "up", minutes(limit)))
        partition.nodes.append((_number(memory), _number(cores), _gpus(gres)))
    return found, default


def misfit(request: Request, found: dict[str, Partition], default: str | None) -> str:
    """Why Slurm would refuse a request, or keep it waiting for ever; empty where it would not."""
    name = request.partition or default
    if name is None:
        return f"the cluster has no default partition: name one of {_list(found)} (slurm_partition)"
    # Slurm takes a list too, and starts the job in the first that can.
    reasons = [_misfit(request, one, found) for one in name.split(",")]
    return "" if "" in reasons else reasons[0]


def _misfit(request: Request, name: str, found: dict[str, Partition]) -> str:
    partition = found.get(name)
    if partition is None:
        return f"there is no partition '{name}', only {_list(found)} (slurm_partition)"
    if not partition.up:
        return f"partition {name} takes no jobs now"
    if partition.minutes is not None and request.minutes > partition.minutes:
        return (
            f"asks for up to {request.minutes} minutes, and partition {name} allows "
            f"{partition.minutes:g} (config: resources.RULE.runtime, resources.max_runtime)"
        )
    gpus = [gpus for _, _, gpus in partition.nodes]
    if request.gpus and max(_count(each, request.model) for each in gpus) < request.gpus:
        have = _list({f"{model or 'GPU'} x {n}" for each in gpus for model, n in each.items()})
        wants = f"{request.gpus} GPU{'s' if request.gpus > 1 else ''}"
        wants += f" {request.model}" if request.model else ""
        return f"no node of partition {name} has {wants}, only {have} (gpu_model, slurm_partition)"
    most = max(node[0] for node in partition.nodes)
    if request.mem_mb > most:
        return (
            f"asks for up to {request.mem_mb} MB, and no node of partition {name} has more than "
            f"{most} (config: resources.RULE.mem_mb, resources.max_mem_mb)"
        )
    cores = max(node[1] for node in partition.nodes)
    if request.cpus > cores:
        return (
            f"asks for {request.cpus} cores, and no node of partition {name} has more than "
            f"{cores} (config: resources.RULE.threads)"
        )
    return ""


def _count(gpus: dict[str, int], model: str | None) -> int:
    return gpus.get(model, 0) if model else sum(gpus.values())


def _gpus(gres: str) -> dict[str, int]:
    """From ``gpu:a100:4(S:0-1),shard:8`` the GPUs by model."""
    found = re.findall(r"(?:^|,)gpu(?::([^:,()]*[^\d:,()][^:,()]*))?(?::(\d+))?(?=[(,]|$)", gres)
    return {model: int(count or 1) for model, count in found}


def _number(text: str) -> int:
    """From ``64000`` or, for nodes that differ, ``64000+``."""
    return int(text.removesuffix("+"))


def _list(names: object) -> str:
    return ", ".join(sorted(names)) or "none"
