"""What the proxy in a Worker reads of a configuration: all of it, and no secrets."""

import json
from pathlib import Path

from click.testing import CliRunner

from edgewise.cli import main
from edgewise.config import parse_config
from edgewise.deploy.proxy_table import proxy_table

CONFIG = """
[policy]
regions = ["eu"]

[server]
region_header = "cf-ipcountry"
regions = { DE = "eu" }

[tenants.acme]
requests_per_minute = 60
key_sha256 = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]

[models.near]
provider = "home"
free = true
context = 8000
ttft_ms = 100
quality = 0.7

[models.near.endpoint]
base_url = "https://near.example/v1"
api_key_env = "NEAR_KEY"

[models.far]
provider = "away"
free = true
context = 8000
ttft_ms = 100
quality = 0.8
"""


def test_the_table() -> None:
    table = proxy_table(parse_config(CONFIG, "router.toml"))
    assert table["models"]["far"] == {"provider": "away", "endpoint": None}
    assert table["models"]["near"]["endpoint"] == {
        "base_url": "https://near.example/v1",
        "api_key_env": "NEAR_KEY",
        "model": "near",
        "api": ["chat"],
        "resume": "ask",
        "logprobs": False,
    }
    assert table["tenants"]["acme"]["requests_per_minute"] == 60
    assert (table["region_header"], table["regions"]) == ("cf-ipcountry", {"DE": "eu"})


def test_config_pack_writes_it_beside_the_policy(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(CONFIG)
    options = [str(tmp_path / "router.toml"), "-o", str(tmp_path / "policy.bin"), "--proxy", str(tmp_path / "p.json")]
    result = CliRunner().invoke(main, ["config", "pack", *options])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "p.json").read_text()) == proxy_table(parse_config(CONFIG, "router.toml"))
    result = CliRunner().invoke(main, ["config", "pack", *options[:-1], str(tmp_path / "no" / "p.json")])
    assert (result.exit_code, "p.json: No such file" in result.output) == (2, True)
