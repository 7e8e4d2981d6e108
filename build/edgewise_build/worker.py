"""The Worker bundle: the component as JavaScript glue and a core module, its policy, and the TypeScript host.

`generate` writes what the TypeScript imports; `bundle` has wrangler bundle it exactly as a deployment would, offline.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgewise import __version__
from edgewise.config import Config
from edgewise.core.labels import CLUSTERS, NEEDS
from edgewise.core.language import LANGUAGES
from edgewise.deploy.proxy_table import proxy_table
from edgewise.engine import model_version
from edgewise.packing import pack_policy, text_at, unpack_policy
from edgewise.reasons import TEMPLATES
from edgewise_build.checkout import ROOT, WORKER
from edgewise_build.errors import BuildError
from edgewise_build.node import require_node, run_tool

GENERATED = WORKER / "generated"
SITE = GENERATED / "site"
PLAYGROUND = WORKER / "playground"
WRANGLER_CONFIG = ROOT / "wrangler.toml"
ENTRY = WORKER / "src" / "worker.ts"
WRANGLER = WORKER / "node_modules" / "wrangler" / "bin" / "wrangler.js"
WRANGLER_ENV = {"WRANGLER_SEND_METRICS": "false", "WRANGLER_HIDE_BANNER": "true", "CI": "1", "NO_COLOR": "1"}

_NOT_UPLOADED = (".capnp", ".map", ".md")
_UPLOAD = re.compile(r"Total Upload: ([\d.]+) KiB / gzip: ([\d.]+) KiB")


@dataclass(frozen=True)
class WorkerBundle:
    """What a deployment uploads: its folder, the files' sizes after gzip, and wrangler's own totals, in bytes."""

    folder: Path
    gzip_bytes: dict[str, int]
    upload_bytes: int
    upload_gzip_bytes: int


def bundle(component: Path, config: Config, out: Path) -> WorkerBundle:
    """Bundle the Worker with a component and a configuration into the folder `out`.

    Raises BuildError where Node.js or its packages are missing, or a tool fails.
    """
    generate(component, config)
    return bundle_entry(ENTRY, out)


def reconfigured(made: WorkerBundle, config: Config, out: Path) -> Path:
    """A copy of a bundle with another configuration, in the folder `out`; gives the folder."""
    shutil.copytree(made.folder, out, dirs_exist_ok=True)
    (policy,), (proxy,) = out.glob("*-policy.bin"), out.glob("*-proxy.txt")
    policy.write_bytes(pack_policy(config))
    proxy.write_text(json.dumps(proxy_table(config)), encoding="utf-8")
    return out


def generate(component: Path, config: Config) -> None:
    """Write into `edge/worker/generated/` what the TypeScript imports. Raises BuildError."""
    if not component.exists():
        raise BuildError(f"{component.name} has not been built: run `edgewise build`")
    run_tool("transpile.mjs", component.absolute(), GENERATED)
    policy = pack_policy(config)
    (GENERATED / "policy.bin").write_bytes(policy)
    _write_json("proxy.txt", proxy_table(config))
    _write_json("phrases.json", phrases())
    _write_json("about.json", about(component, "aot"))
    _make_site(policy)


def about(component: Path, backend: str) -> dict[str, str]:
    """What a bundle was built from, as its decisions and `/healthz` say it."""
    return {"version": __version__, "model_version": model_version(component.read_bytes()), "backend": backend}


def phrases() -> dict[str, object]:
    """The sentences and labels that turn a decision's reasons into words."""
    return {"templates": TEMPLATES, "clusters": CLUSTERS, "languages": LANGUAGES, "needs": NEEDS}


def _make_site(policy: bytes) -> None:
    """Put together the playground: its page, and the same parts as the Worker's, for any server of static files."""
    SITE.mkdir(exist_ok=True)
    bundle_scripts(SITE, "playground/app.ts", "playground/decider.ts")
    for name in ("index.html", "style.css"):
        shutil.copy(PLAYGROUND / name, SITE)
    for name in ("router.core.wasm", "policy.bin", "phrases.json", "about.json"):
        shutil.copy(GENERATED / name, SITE)
    head, _, _ = unpack_policy(policy)
    _write_json("site/regions.json", [text_at(policy, head.regions[index]) for index in range(head.region_count)])


def _write_json(name: str, content: object) -> None:
    (GENERATED / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def bundle_scripts(folder: Path, *entries: str) -> None:
    """Bundle scripts of `edge/worker/` into a folder, for a browser or Node; each keeps its name. Raises BuildError."""
    run_tool("bundle.mjs", folder.absolute(), *entries)


def bundle_entry(entry: Path, out: Path) -> WorkerBundle:
    """Bundle one entry file as `wrangler deploy --dry-run` does. Raises BuildError."""
    for stale in [*out.glob("*-router.core.wasm"), *out.glob("*-policy.bin"), *out.glob("*-proxy.txt")]:
        stale.unlink()
    output = run_wrangler("deploy", entry, "--dry-run", "--outdir", out.absolute())
    total = _UPLOAD.search(output)
    if total is None:
        raise BuildError("wrangler did not say what it would upload: run `npm ci` in edge/worker")
    upload, upload_gzip = (round(float(size) * 1024) for size in total.groups())
    files = {
        path.name: len(gzip.compress(path.read_bytes(), 9, mtime=0))
        for path in sorted(out.iterdir())
        if path.is_file() and path.suffix not in _NOT_UPLOADED
    }
    return WorkerBundle(out, files, upload, upload_gzip)


def run_wrangler(command: str, *arguments: Path | str) -> str:
    """Run a command of wrangler with the repository's configuration; gives what it prints. Raises BuildError."""
    node = require_node()
    if not WRANGLER.exists():
        raise BuildError("the Node packages are not installed: run `make setup`, or `npm ci` in edge/worker")
    line = [node, str(WRANGLER), command, *map(str, arguments), "--config", str(WRANGLER_CONFIG)]
    run = subprocess.run(line, cwd=ROOT, env={**os.environ, **WRANGLER_ENV}, capture_output=True, text=True)
    if run.returncode:
        lines = [line.strip() for line in f"{run.stderr}\n{run.stdout}".splitlines()]
        errors = [line for line in lines if "ERROR" in line] or [line for line in lines if line]
        raise BuildError(f"wrangler {command}: {errors[0] if errors else 'failed'}")
    return run.stdout
