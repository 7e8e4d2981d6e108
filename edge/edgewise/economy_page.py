"""The economy for readers: docs/economy.md and its plot, for the catalogue of edgewise and the claims of the brief."""

from collections.abc import Iterator
from decimal import Decimal

from edgewise.config import Config, load_config
from edgewise.economy import MISROUTED, Economy, Query, economy
from edgewise.markdown import table
from edgewise.money import TOKENS_PER_PRICE
from edgewise_classifier.plots import OURS, canvas, other_color

CHEAP, FRONTIERS, DEAREST = "qwen2.5-7b", ("gpt-4o", "claude-opus-4"), "claude-opus-4"
CHEAP_SHARE = Decimal("0.7")
SHORT_ANSWER = 150
CLAIMED_ALWAYS, CLAIMED_ROUTED = Decimal("0.04"), Decimal("0.003")
CLAIMED_RATE, CLAIMED_LOSS = Decimal("0.02"), Decimal(1) / 3

_HEAD = """\
# What routing saves, and what misrouting loses

Written by `edgewise economy --docs docs`; do not edit. Everything here is arithmetic on the prices and the quality
tables of the default catalogue, whose input prices are those of the project's brief: queries of 2,000 input tokens, 70%
of them to a cheap model and 30% to a frontier model. The brief gives no output prices; the catalogue's are examples.
`edgewise economy --config router.toml` does the same for your prices, `edgewise simulate` for your traffic. Quality is
the share of right answers in the catalogue's tables, which are starting values set by hand."""

_COSTS = """\
With 30% of the traffic at the frontier, the saving cannot pass 70%, whatever the cheap model costs: the frontier's
share of the bill alone is 30% of what the frontier for everything would cost."""

_MISROUTING = """\
A share of all queries is misrouted; the table says which share of the saving that loses. *Easy to frontier* are
queries that the cheap model would have answered. *Easy to {dearest}* is the brief's example, a summary that goes to
the dearest model of all. *Hard to cheap* are queries that wanted the frontier model: money is saved, but answers
are wrong, each of which counts {value} USD, as `answer_value_usd` of the objective has it. So the cheap direction
is the expensive one as soon as answers are worth something: a router must be judged by both."""

_IDENTITY = """\
The first column is no accident of these prices. Where a misrouted query goes to the very model that the saving is
measured against, it loses just its own saving: a share s of all queries loses s / 70% of it."""

_CLAIMS = """\
## Where the brief's figures do not add up

At its own prices, for 2,000 input tokens and the 70/30 split:"""


def markdown() -> str:
    """The page."""
    return "\n\n".join(_parts(load_config(None))) + "\n"


def _parts(config: Config) -> Iterator[str]:
    yield _HEAD
    yield table(
        ["frontier model", "tokens in / out", "always frontier", "routed", "saving", "right answers, always", "routed"],
        [_cost_row(_economy(config, name, output)) for name in FRONTIERS for output in (0, SHORT_ANSWER)],
    )
    yield _COSTS
    yield "## Misrouting"
    found = _economy(config, FRONTIERS[0])
    yield _MISROUTING.format(dearest=DEAREST, value=f"{found.answer_value.normalize():f}")
    yield "![Share of the saving that is lost against the share of queries that is misrouted](economy.svg)"
    for name in FRONTIERS:
        yield f"Frontier model {name}:"
        yield _misrouting_table(_economy(config, name))
    yield _IDENTITY
    yield _CLAIMS
    yield table(["the brief", "at its prices", "what would make it true"], _claims(config))


def _economy(config: Config, frontier: str, output_tokens: int = 0) -> Economy:
    return economy(config, CHEAP, frontier, CHEAP_SHARE, Query(2_000, output_tokens))


def _cost_row(found: Economy) -> list[str]:
    size = f"{found.query.input_tokens:,} / {found.query.output_tokens}"
    return [found.frontier, size, f"{found.cost_frontier:.4f} USD", f"{found.cost_routed:.4f} USD",
            f"{found.saved_share:.1%}", f"{found.quality_always:.1%}", f"{found.quality_routed:.1%}"]  # fmt: skip


def _misrouting_table(found: Economy) -> str:
    return table(
        ["misrouted", "easy to frontier", f"easy to {DEAREST}", "hard to cheap", "answers lost with it"],
        [
            [f"{one.share:.1%}", f"{one.to_frontier:.1%}", f"{one.to_strongest:.1%}", f"{one.to_cheap:.1%}",
             f"{one.quality_lost:.2%}"]
            for one in map(found.misrouting, MISROUTED)
        ],
    )  # fmt: skip


def _claims(config: Config) -> Iterator[list[str]]:
    small, large = (_economy(config, name) for name in FRONTIERS)
    price_out = config.models[small.frontier].price_out or Decimal(0)
    answer = (CLAIMED_ALWAYS - small.cost_frontier) * TOKENS_PER_PRICE / price_out
    yield [
        f"always the strongest: about {CLAIMED_ALWAYS} USD a query",
        f"{_usd(small.cost_frontier)} with {small.frontier}, {_usd(large.cost_frontier)} with {large.frontier}",
        f"{small.frontier} with answers of {answer:.0f} tokens at {price_out} USD per million",
    ]
    shares = [(CLAIMED_ROUTED - one.cost_cheap) / (one.cost_frontier - one.cost_cheap) for one in (small, large)]
    yield [
        f"routed 70/30: {CLAIMED_ROUTED} USD a query",
        f"{_usd(small.cost_routed)} with {small.frontier}, {_usd(large.cost_routed)} with {large.frontier}",
        f"{shares[0]:.1%} of the traffic to {small.frontier}, or {shares[1]:.1%} to {large.frontier}, instead of 30%",
    ]
    claimed = 1 - CLAIMED_ROUTED / CLAIMED_ALWAYS
    yield [
        f"so a saving of {claimed:.1%}",
        f"{small.saved_share:.1%} with {small.frontier}, {large.saved_share:.1%} with {large.frontier}, at most 70%",
        f"at most {1 - claimed:.1%} of the traffic at the frontier, were the cheap model free",
    ]
    yield _claim_of_misrouting(config, small)


def _claim_of_misrouting(config: Config, found: Economy) -> list[str]:
    lost = found.misrouting(CLAIMED_RATE)
    model = config.models[DEAREST]
    needed = found.cost_that_loses(CLAIMED_LOSS, CLAIMED_RATE)
    longer = needed * TOKENS_PER_PRICE / (model.price_in or Decimal(1))
    answer = (needed - found.cost_strongest) * TOKENS_PER_PRICE / (model.price_out or Decimal(1))
    worth = (CLAIMED_LOSS * found.saving / CLAIMED_RATE + found.cost_frontier - found.cost_cheap) / found.quality_gap
    added = CLAIMED_RATE * found.cost_strongest
    return [
        "2% misrouted, a summary sent to Opus, can eat a third of the saving",
        f"{lost.to_frontier:.1%} of it where they go to {found.frontier}, {lost.to_strongest:.1%} to {DEAREST}; but "
        f"the latter adds {_usd(added)} a query, the brief's whole routed bill over again",
        f"prompts of {longer:,.0f} tokens at {DEAREST}, or answers of {answer:,.0f} tokens there; or the other way, "
        f"hard queries to {found.cheap}, if a right answer is worth {worth:.2f} USD",
    ]


def _usd(amount: Decimal) -> str:
    return f"{amount:.4f} USD"


def plot() -> str:
    """The share of the saving that is lost against the share of queries that is misrouted, as SVG."""
    found = _economy(load_config(None), FRONTIERS[0])
    shares = [Decimal(step) / 1000 for step in range(51)]
    lines = [found.misrouting(share) for share in shares]
    ways = {
        f"easy to {found.frontier}": [one.to_frontier for one in lines],
        f"easy to {DEAREST}": [one.to_strongest for one in lines],
    }
    with canvas(7, 3.6) as (figure, text):
        axes = figure.subplots()
        x = [float(100 * share) for share in shares]
        for place, (name, values) in enumerate(ways.items()):
            axes.plot(x, [float(100 * value) for value in values], color=other_color(place), lw=1.5, label=name)
        hard = [float(100 * one.to_cheap) for one in lines]
        axes.plot(x, hard, color=OURS, lw=2, label=f"hard to {found.cheap}, an answer worth {found.answer_value} USD")
        axes.axhline(100 / 3, color="#1a2029", lw=0.8, ls="--")
        axes.set(xlabel="% of queries misrouted", ylabel=f"% of the saving lost ({found.frontier} as frontier)")
        axes.set(xlim=(0, 5), ylim=(0, None))
        axes.legend(fontsize=8)
    return text.getvalue()
