"""Rules: what is compared differs in its method only."""

from collections.abc import Callable, Hashable, Iterator

from dmlbench import BENCHMARK_VERSION
from dmlbench.checking.check import Breach, rule, run_rule
from dmlbench.checking.results import Measured, Results
from dmlbench.files import WEIGHT_FILES
from dmlbench.seeding import derive_seed
from dmlbench.workflow.job_records import MEASURE_AGAIN, TRAIN_AGAIN

#: What the first weights of a network depend on, besides the seed.
_ARCHITECTURE = (
    "backbone", "weights", "widths", "hidden", "pooling", "head", "embedding_dim", "image_size",
)  # fmt: skip


@rule("R02", "All metrics were measured under this version of the benchmark.")
def version(results: Results) -> Iterator[Breach]:
    for run, found in results.versions.items():
        what = f"was measured under benchmark version {found}, this is {BENCHMARK_VERSION}"
        yield Breach(run.id, what, "rescore: make rescore CONFIG=...")


@rule("R03", "The metrics are of the training beside them, with the settings it records.")
def settings(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        recorded = one.record["fingerprint"]
        if f"{derive_seed(one.record['run']):016x}" != recorded:
            what = "run.json holds other settings than those its fingerprint stands for"
            yield Breach(one.run.id, what, TRAIN_AGAIN)
        if one.metrics["fingerprint"] != recorded:
            yield Breach(one.run.id, "the metrics are of another training", MEASURE_AGAIN)


@rule("R04", "No two seeds of a method are one training under two names.", since="1.1")
def seeds(results: Results) -> Iterator[Breach]:
    seen: dict[Hashable, str] = {}
    for one in results.trained:
        recipe = one.record["run"]["recipe"]
        # Pretrained and without a head nothing is random at the start.
        headless = recipe.get("head", {}).get("type") == "none"
        # Metrics tell nothing: two seeds that find 5 of 18 images are two trainings all the same.
        told = [("trained weights", _trained_weights(one.record))]
        if not (headless and recipe.get("weights", "none") != "none"):
            told.append(("first weights", one.record["initial_weights"]))
        for what, key in told:
            first = seen.setdefault((one.run.dataset, one.run.method, what, key), one.run.id)
            if first != one.run.id:
                yield Breach(one.run.id, f"has the same {what} as {first}", TRAIN_AGAIN)


def _trained_weights(record: dict) -> Hashable:
    """The hashes of the weights of all selections."""
    files = record["outputs"].items()
    return tuple(sorted((name, digest) for name, digest in files if name.endswith(WEIGHT_FILES)))


@rule("R05", "Inside a comparison, training and measuring saw the same images and splits.")
def data(results: Results) -> Iterator[Breach]:
    for name, runs in results.comparisons():
        yield from _differing(name, runs, "data", lambda m: m.record["data"], TRAIN_AGAIN)
        for one in runs:
            if one.metrics["data"] != one.record["data"]:
                yield Breach(one.run.id, "was measured on other data than trained", MEASURE_AGAIN)


@rule("R06", "Inside a comparison, sources that two runs share were the same for both.")
def code(results: Results) -> Iterator[Breach]:
    for name, runs in results.comparisons():
        known: dict[str, tuple[str, str]] = {}
        for one in runs:
            for file, digest in one.record.get("files", {}).items():
                # A module has its dotted name, an installed package its name and version.
                source = file.partition(" ")[0]
                first, by = known.setdefault(source, (digest, one.run.id))
                if digest != first:
                    what = f"{name}: was trained with another {source} than {by}"
                    yield Breach(one.run.id, what, TRAIN_AGAIN)
        measured = "evaluation code"
        yield from _differing(name, runs, measured, lambda m: m.metrics["code"], MEASURE_AGAIN)


@run_rule("R07", "All runs are measured with the settings of the config.")
def evaluation(results: Results, one: Measured) -> Iterator[str]:
    planned, found = results.plan.benchmark.evaluation.model_dump(), one.metrics["evaluation"]
    # A key that is not set may be left out (exclude_duplicates).
    if differ := sorted(key for key in {*planned, *found} if planned.get(key) != found.get(key)):
        yield f"was measured with other settings: evaluation.{', evaluation.'.join(differ)}"


@rule("R08", "Methods of one seed and one architecture start from the same weights.")
def weights(results: Results) -> Iterator[Breach]:
    known: dict[Hashable, tuple[str, str]] = {}
    for one in results.trained:
        recipe, mine = one.record["run"]["recipe"], one.record["initial_weights"]
        architecture = repr([recipe.get(key) for key in _ARCHITECTURE])
        key = (one.run.dataset, architecture, one.run.seed)
        first, by = known.setdefault(key, (mine, one.run.id))
        if mine != first:
            yield Breach(one.run.id, f"started from other weights than {by}", TRAIN_AGAIN)


@rule("R09", "Inside a comparison, runs of one recipe took equally many steps.")
def budget(results: Results) -> Iterator[Breach]:
    for name, runs in results.comparisons():
        trained = [one for one in runs if one.run.trained]
        for recipe in dict.fromkeys(one.run.recipe for one in trained):
            group = [one for one in trained if one.run.recipe == recipe]
            steps = "number of steps"
            yield from _differing(
                name, group, steps, lambda m: int(m.history["steps"].sum()), TRAIN_AGAIN
            )


def _differing(
    name: str, runs: list[Measured], what: str, of: Callable[[Measured], object], remedy: str
) -> Iterator[Breach]:
    """The runs whose value is not that of the first one of a comparison."""
    for one in runs[1:]:
        if of(one) != of(runs[0]):
            text = f"{name}: {what} {of(one)}, but {of(runs[0])} of {runs[0].run.id}"
            yield Breach(one.run.id, text, remedy)
