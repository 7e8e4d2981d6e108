"""Shipping the router: what `edgewise deploy` checks before it hands over to a platform's own tool."""

from edgewise.deploy.checks import Check
from edgewise.deploy.cloudflare import FREE, PAID, PLANS, Plan, Upload
from edgewise.deploy.fly import FlyApp

__all__ = ["FREE", "PAID", "PLANS", "Check", "FlyApp", "Plan", "Upload"]
