"""`edgewise deploy`: checks what would be shipped, and hands it to the platform's own tool."""

import json
import shlex
import sys
from pathlib import Path

import click

from edgewise.config import load_config
from edgewise.deploy import FREE, PAID, PLANS, FlyApp, Upload
from edgewise.deploy.cloudflare import CPU_MS, STARTUP_MS, bundle_upload, ship
from edgewise.errors import EdgewiseError

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything and say what would be run; ship nothing.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")


@click.group()
def deploy() -> None:
    """Ship the router to Fly.io or Cloudflare; what fails a check is not shipped, and ends with status 1."""


@deploy.command()
@_DRY_RUN
@click.option("--directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".",
              help="Where fly.toml and the Dockerfile are; here otherwise.")  # fmt: skip
@_JSON
def fly(dry_run: bool, directory: Path, as_json: bool) -> None:
    """Check fly.toml and the Dockerfile, make the wheel that the image takes, and run flyctl deploy."""
    app = FlyApp(directory)
    checks = app.check()
    ok = all(check.ok for check in checks)
    commands = [shlex.join(command) for command in app.commands()]
    if as_json:
        found = [{"ok": check.ok, "text": check.problem or check.what} for check in checks]
        click.echo(json.dumps({"target": "fly", "ok": ok, "checks": found, "commands": commands}, indent=2))
    else:
        for check in checks:
            click.echo(f"  ok  {check.what}" if check.ok else f"  NO  {check.problem}")
    if not ok:
        sys.exit(1)
    if not dry_run:
        app.deploy()
    elif not as_json:
        click.echo("\n  ".join(["would run:", *commands]))


@deploy.command()
@_DRY_RUN
@click.option(
    "--config", type=click.Path(path_type=Path), help="A router.toml to bundle; the default catalogue otherwise."
)
@click.option("--plan", "plan_name", type=click.Choice([FREE.name, PAID.name]), default=FREE.name, show_default=True,
              help="The plan that must take the upload.")  # fmt: skip
@_JSON
def cloudflare(dry_run: bool, config: Path | None, plan_name: str, as_json: bool) -> None:
    """Bundle the Worker, check the upload against the plan's limit, and run wrangler deploy."""
    loaded = load_config(config)
    try:
        from edgewise_build.errors import BuildError
    except ImportError as error:
        raise EdgewiseError(f"the Worker is bundled in a checkout of edgewise ({error.name} is missing)") from None
    plan = next(one for one in PLANS if one.name == plan_name)
    try:
        upload = bundle_upload(loaded)
        _show(upload, upload.fits(plan), as_json)
        if not upload.fits(plan):
            sys.exit(1)
        if not dry_run:
            click.echo(ship(), err=as_json)
        elif not as_json:
            click.echo("would run: wrangler deploy")
    except BuildError as error:
        raise EdgewiseError(str(error)) from None


def _show(upload: Upload, ok: bool, as_json: bool) -> None:
    if as_json:
        plans = [{"plan": plan.name, "limit_bytes": plan.gzip_bytes, "ok": upload.fits(plan)} for plan in PLANS]
        times = {"start_ms": round(upload.start_ms, 1), "answer_ms": round(upload.answer_ms, 2)}
        sizes = {"bytes": upload.bytes, "gzip_bytes": upload.gzip_bytes}
        click.echo(json.dumps({"target": "cloudflare", "ok": ok, **sizes, "plans": plans, **times}, indent=2))
        return
    click.echo(f"upload: {upload.gzip_bytes / 1e6:.2f} MB after gzip ({upload.bytes / 1e6:.2f} MB before)")
    for plan in PLANS:
        share = upload.gzip_bytes / plan.gzip_bytes
        mark = "ok" if upload.fits(plan) else "NO"
        click.echo(f"  {mark}  {plan.name}: {share:.0%} of {plan.limit}")
    click.echo(f"start: {upload.start_ms:.0f} ms with the process; the limit is {STARTUP_MS} ms")
    click.echo(f"one decision: {upload.answer_ms:.1f} ms with HTTP; the free plan allows {CPU_MS} ms of CPU")
