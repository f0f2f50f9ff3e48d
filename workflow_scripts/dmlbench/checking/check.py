"""Holding results against every rule."""

from collections import Counter
from pathlib import Path

from dmlbench.checking import comparison_rules, number_rules  # noqa: F401  (they register their rules)
from dmlbench.checking.results import Results
from dmlbench.checking.rule import RULES
from dmlbench.errors import DataError
from dmlbench.files import write_json
from dmlbench.version import BENCHMARK_VERSION

#: More breaches of one rule are counted, not listed.
_LISTED = 20


def check(results: Results) -> list[dict]:
    """Every breach of every rule: rule, run, what and remedy."""
    return [
        {"rule": identity, **breach._asdict()}
        for identity, one in sorted(RULES.items())
        for breach in one.find(results)
    ]


def words(breaches: list[dict]) -> list[str]:
    """A line for each breach; of many of one rule the first ones."""
    lines, counts = [], Counter()
    for b in breaches:
        counts[b["rule"]] += 1
        if counts[b["rule"]] <= _LISTED:
            lines.append(f"{b['rule']} {b['run']}: {b['what']}; {b['remedy']}")
    more = {rule: count - _LISTED for rule, count in counts.items() if count > _LISTED}
    return lines + [f"{rule}: {count} more" for rule, count in more.items()]


def write_check(results: Results, breaches: list[dict], path: Path) -> None:
    """Write what was checked and found."""
    content = {
        "benchmark_version": BENCHMARK_VERSION,
        "rules": [{"id": r.id, "since": r.since, "text": r.text} for _, r in sorted(RULES.items())],
        "runs": Counter(entry.state for entry in results.entries),
        "breaches": breaches,
    }
    write_json(path, content)


def refuse(breaches: list[dict]) -> None:
    """Raises DataError with a line for each breach, if there is one."""
    if breaches:
        raise DataError("\n".join(words(breaches)))
