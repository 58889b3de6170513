"""Prints the table of faults that the last `make faults` tried, and with `--write` puts it into docs/promises.md.

Run it with `python tests/faults/report.py`, from anywhere.
"""

import argparse
import datetime
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from faults.kinds import KINDS  # noqa: E402
from faults.recording import RECORDS  # noqa: E402

PAGE = ROOT / "docs" / "promises.md"
PLACE = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- end of faults -->)", re.DOTALL)


def table(lines: list[dict]) -> str:
    """The records as a Markdown table, a row a kind."""
    tried: dict[str, int] = defaultdict(int)
    losses: dict[str, int] = defaultdict(int)
    tests: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        tried[line["kind"]] += line["tried"]
        losses[line["kind"]] += line["losses"]
        tests[line["kind"]].add(line["test"].split("::")[0])
    by = {kind: ", ".join(f"`{test}`" for test in sorted(found)) for kind, found in tests.items()}
    rows = [
        f"| {promise} | {kind} | {tried[kind]:,} | {losses[kind]:,} | {by[kind]} |"
        for kind, promise in KINDS.items()
        if kind in tried
    ]
    head = ["| promise | fault | tried | losses | by |", "| --- | --- | ---: | ---: | --- |"]
    total = f"| all | | {sum(tried.values()):,} | {sum(losses.values()):,} | |"
    return "\n".join([*head, *rows, total]) + "\n"


def main() -> None:
    """Prints the table; with --write also puts it into the docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/promises.md")
    arguments = parser.parse_args()
    if not RECORDS.exists():
        raise SystemExit(f"nothing was recorded yet in {RECORDS}: run `make faults`")
    text = table([json.loads(line) for line in RECORDS.read_text().splitlines()])
    print(text)
    if arguments.write:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        page = PAGE.read_text()
        if not PLACE.search(page):
            raise SystemExit(f"{PAGE} has no place for the table: <!-- faults --> and <!-- end of faults -->")
        PAGE.write_text(PLACE.sub(lambda _: f"\nLast run: {today}.\n\n{text}\n", page))


if __name__ == "__main__":
    main()
