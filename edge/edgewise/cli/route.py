"""`edgewise route`: one decision explained, or a batch of them."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from edgewise.decision import Decision
from edgewise.errors import NoFeasibleModelError
from edgewise.request import Request
from edgewise.router import Router
from edgewise.traffic import parse_request, read_traffic


@click.command()
@click.argument("text", required=False)
@click.option("--request", "request_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A JSON file with one whole request, instead of TEXT.")  # fmt: skip
@click.option("--batch", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A file of requests, one JSON object per line; prints one decision per line as JSON.")  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), help="A router.toml; the default catalogue otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
@click.option("--max-tokens", type=int, help="The longest answer that is wanted, in tokens.")
@click.option("--budget-usd", type=float, help="The most that the answer may cost.")
@click.option("--latency-slo-ms", type=int, help="The longest acceptable wait for the first token.")
@click.option("--region", help="Where the user is.")
@click.option("--objective", type=click.Choice(["cost", "balanced", "quality", "latency"]), help="What counts most.")
@click.option("--need", "needs", multiple=True, type=click.Choice(["tools", "json", "vision", "audio"]),
              help="What the model must be able to do; may be repeated.")  # fmt: skip
def route(
    text: str | None,
    request_file: Path | None,
    batch: Path | None,
    config: Path | None,
    as_json: bool,
    **constraints: Any,
) -> None:
    """Decide which model should answer TEXT ("-" reads standard input), and say why."""
    if sum(source is not None for source in (text, request_file, batch)) != 1:
        raise click.UsageError('give one of: a text, --request FILE, or --batch FILE; try: edgewise route "hello"')
    router = Router(config)
    if batch is not None:
        _route_batch(router, batch, _given(constraints))
        return
    request = _read_request(text, request_file, constraints)
    decision = router.decide(request)
    if as_json:
        click.echo(json.dumps(router.to_json(request, decision), ensure_ascii=False, indent=2))
    else:
        _explain(decision)


def _read_request(text: str | None, file: Path | None, constraints: dict[str, Any]) -> Request:
    given = _given(constraints)
    if file is not None:
        request = parse_request(file.read_text(encoding="utf-8", errors="surrogateescape"), str(file))
        return Request.parse({**request.model_dump(exclude_unset=True), **given})
    content = sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape") if text == "-" else text
    return Request.parse({"text": content, **given})


def _given(constraints: dict[str, Any]) -> dict[str, Any]:
    """The constraints that the command line gives: they hold in place of the request's own."""
    return {name: value for name, value in constraints.items() if value not in (None, ())}


def _route_batch(router: Router, batch: Path, given: dict[str, Any]) -> None:
    """One line for each request, in order; a request that no model can serve gets a line with its error."""
    for read in read_traffic(batch):
        request = Request.parse({**read.model_dump(exclude_unset=True), **given}) if given else read
        try:
            line = router.to_json(request, router.decide(request))
        except NoFeasibleModelError as error:
            line = {"id": request.id, "error": {"message": str(error), "dropped": [list(one) for one in error.dropped]}}
        click.echo(json.dumps(line, ensure_ascii=False))


def _explain(decision: Decision) -> None:
    console = Console(highlight=False)
    data = decision.to_json()
    signals = data["signals"]
    console.print(
        f"[bold]{decision.model}[/bold]", f"then {', '.join(decision.fallbacks)}" if decision.fallbacks else ""
    )
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    tasks = sorted(signals["task"]["scores"].items(), key=lambda item: -item[1])[:3]
    table.add_row("task", ", ".join(f"{task} {score:.2f}" for task, score in tasks))
    table.add_row("domain", f"{decision.domain} {signals['domain']['score']:.2f}")
    table.add_row("language", f"{decision.language} {signals['language']['score']:.2f} ({decision.script})")
    table.add_row("difficulty", f"{signals['difficulty']:.2f}")
    table.add_row("time-sensitive", f"{signals['recency']:.2f}")
    table.add_row("code work", f"{signals['code']:.2f}")
    table.add_row("safety", ", ".join(f"{name} {score:.2f}" for name, score in signals["safety"].items()))
    table.add_row("tokens", f"{decision.input_tokens} in, about {decision.output_tokens} out")
    table.add_row("cost", f"${data['cost_usd']:.6f}")
    table.add_row("first token", f"about {decision.ttft_ms} ms")
    if data["runner_up"]:
        table.add_row("runner-up", f"{decision.runner_up}, {data['runner_up']['margin']:.2f} behind")
    console.print(table)
    for reason in decision.reasons:
        console.print(f"  - {reason.text}")
