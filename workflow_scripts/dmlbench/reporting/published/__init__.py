"""Numbers that papers published, and which of our methods they are of."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.config.dataset_facts import clusters_per_class
from dmlbench.config.models import Sampler
from dmlbench.config.read_yaml import read_config
from dmlbench.config.recipe import Recipe
from dmlbench.plugins.messages import nearest


def _known_keys(settings: dict[str, Any]) -> dict[str, Any]:
    """Refuse a key that no run has: its row would never stand beside one, and nobody would know."""
    for key in settings:
        section, _, path = key.partition(".")
        if section not in METHOD_KEYS or not path:
            raise ValueError(f"'{key}' must start with recipe., loss. or sampler.")
        model = {"recipe": Recipe, "sampler": Sampler}.get(section)
        for name in path.split(".") if model else ():
            fields = model.model_fields
            if name not in fields and model.model_config.get("extra") != "allow":
                hint = nearest(name, list(fields))
                raise ValueError(f"'{key}': {model.__name__} has no key '{name}'{hint}")
            inner = fields[name].annotation if name in fields else None
            if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
                break  # its value, or a class's own options
            model = inner
    return settings


#: Names of recipe, loss and sampler.
Method = tuple[str, str, str]
#: What a run has where it has no such key.
_ABSENT = object()
#: Keys of a run as a sweep has them, such as recipe.optimizer.lr, with the published values.
Settings = Annotated[dict[str, Any], AfterValidator(_known_keys)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Data):
    """Which of our methods a published one is: the types of its loss and choices."""

    loss: str
    options: dict[str, Any] = {}  # of the loss, such as loss.type; they tell it from its likes
    positive: str | None = None
    negative: str | None = None


class Row(_Data):
    """A published method; ``match`` is empty where none of ours could be it.

    ``settings`` are what it was trained with, over those of the table: of our methods that match,
    only one with the same is compared with its numbers. ``features``: of the embedding, or of the
    body, which is what comes before the head. ``selection``: its epoch, where not the table's.
    """

    name: str
    match: list[Match] = []
    settings: Settings = {}
    features: Literal["embedding", "body"] = "embedding"
    selection: Literal["last", "val", "test_max"] | None = None
    values: list[float | None]


class PublishedPart(_Data):
    """Published percentages of one dataset, split, subset and label column."""

    part: tuple[str, str, str, str]
    columns: list[str]
    rows: list[Row]

    @model_validator(mode="after")
    def _fits_together(self) -> "PublishedPart":
        names = [row.name for row in self.rows]
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"{row.name}: {len(row.values)} values, {len(self.columns)} columns"
                )
            if names.count(row.name) > 1:  # a printed table has a line for each name
                raise ValueError(f"{row.name}: two rows have this name")
        return self

    def numbers(self, row: Row) -> dict[str, float]:
        """The percentages of a row by metric."""
        return {m: v for m, v in zip(self.columns, row.values, strict=True) if v is not None}

    def value(self, match: Match, metric: str) -> float | None:
        """The published value of a method; None where there is none."""
        found = (self.numbers(row) for row in self.rows if match in row.match)
        return next(found, {}).get(metric)


class Claim(_Data):
    """What a paper says; the text is empty where it only compares. Two methods make it a test."""

    text: str = ""
    worse: Match | None = None
    better: Match | None = None
    metric: str | None = None
    part: tuple[str, str, str, str] | None = None


class Published(_Data):
    """A published table.

    ``protocol`` says how the numbers were got, in words but for ``selection``, the epoch, and
    ``nmi_plus``, clusters per class by label. ``settings`` are those of all rows.
    """

    paper: str
    title: str
    table: str
    datasets: list[str]  # our names
    protocol: dict[str, Any]
    settings: Settings = {}
    unsaid: str  # what the paper leaves open
    parts: list[PublishedPart]
    claims: list[Claim] = []  # what the paper concludes
    comparisons: list[Claim] = []  # what else it compares

    @property
    def source(self) -> str:
        """Paper and table in a few words."""
        return f"{self.paper}, {self.table}"

    @property
    def selection(self) -> str:
        """Our selection that these numbers are compared with."""
        said = self.protocol["selection"].split(",")[0]
        # Where a paper does not say it: the best epoch on the test set, which the framework that
        # EPS builds on prints, and nine of twelve official codes of the field.
        return said if said in ("last", "val") else "test_max"

    def settings_of(self, row: Row) -> dict[str, Any]:
        """All that is known of how a row was trained."""
        return self.settings | row.settings

    def same_metric(self, plan: Plan, metric: str, label: str) -> bool:
        """Whether ours is the same metric: NMI+ needs the same number of clusters."""
        theirs = self.protocol.get("nmi_plus", {}).get(label)
        return metric != "nmi_plus" or theirs == clusters_per_class(
            plan.benchmark.evaluation, label
        )


@cache
def read_published(name: str) -> Published:
    """The published table ``name`` (a file beside this one)."""
    return Published.model_validate(read_config(Path(__file__).with_name(f"{name}.yaml")))


def published_of(plan: Plan, experiment: str) -> list[Published]:
    """The published tables that an experiment names."""
    return [read_published(name) for name in plan.benchmark.experiments[experiment].published]


def methods_of(plan: Plan, experiment: str, match: Match) -> list[Method]:
    """The methods of an experiment that are a published one, whatever their settings."""
    found = []
    for method in plan.methods[experiment]:
        loss, sampler = plan.losses[method[1]], plan.samplers[method[2]]
        chosen = [(sampler[kind] or {}).get("type") for kind in ("positive", "negative")]
        same = [match.loss, match.positive, match.negative] == [loss["type"], *chosen]
        same &= loss.get("proxies_per_class", 1) == 1  # several are published nowhere
        if same and all(value_at(loss, key) == value for key, value in match.options.items()):
            found.append(method)
    return found


def value_at(entry: Any, key: str) -> Any:
    """The value of a key such as ``optimizer.lr``, or ``losses.0.type`` where a list has it.

    What equals nothing, where there is no such key.
    """
    for name in key.split("."):
        if isinstance(entry, list) and name.isdecimal() and int(name) < len(entry):
            entry = entry[int(name)]
        elif isinstance(entry, dict) and name in entry:
            entry = entry[name]
        else:
            return _ABSENT
    return entry
