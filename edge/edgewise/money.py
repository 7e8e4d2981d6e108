"""Money as whole numbers: the core counts in picodollars, people write dollars."""

from decimal import ROUND_HALF_EVEN, Decimal

PICODOLLARS_PER_DOLLAR = 10**12
TOKENS_PER_PRICE = 10**6
"""Prices are quoted in USD per million tokens."""


def to_picodollars(usd: Decimal) -> int:
    """An amount in dollars as picodollars, to the nearest."""
    return int((usd * PICODOLLARS_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))


def to_dollars(picodollars: int) -> float:
    """An amount in picodollars as dollars: for showing, not for adding up."""
    return picodollars / PICODOLLARS_PER_DOLLAR


def price_per_token(usd_per_million: Decimal) -> int:
    """A price in USD per million tokens as picodollars per token."""
    return to_picodollars(usd_per_million / TOKENS_PER_PRICE)
