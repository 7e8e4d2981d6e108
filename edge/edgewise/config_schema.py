"""The JSON Schema by which editors complete and check a `router.toml`.

`python -m edgewise.config_schema` writes it to `router.schema.json` beside this module; a test keeps the two equal.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from edgewise.config_models import Config

_BY_NAME = ("properties", "$defs")

SCHEMA_FILE = Path(__file__).with_name("router.schema.json")


class _SchemaGenerator(GenerateJsonSchema):
    """Numbers are numbers in TOML: no strings for decimals."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "number"}


def _tidy(node: Any) -> Any:
    """The schema without what TOML has no word for (null), and in the schema's own words."""
    if isinstance(node, list):
        return [_tidy(one) for one in node]
    if not isinstance(node, dict):
        return node
    words = {"ge": "minimum", "le": "maximum"}
    tidy: dict[str, Any] = {words.get(str(key), str(key)): _tidy_value(key, value) for key, value in node.items()}
    _tidy_default(tidy)
    if isinstance(tidy.get("title"), str):
        del tidy["title"]
    options = [one for one in tidy.pop("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 1:
        return {**options[0], **tidy}
    return {**tidy, "anyOf": options} if options else tidy


def _tidy_value(key: str, value: Any) -> Any:
    """The schemas under a key; under `properties` and `$defs` the keys are names, whatever they say."""
    if key in _BY_NAME:
        return {name: _tidy(schema) for name, schema in value.items()}
    return _tidy(value)


def _tidy_default(schema: dict[str, Any]) -> None:
    default = schema.get("default", False)
    if default is None or isinstance(default, dict):
        del schema["default"]
    elif "default" in schema and schema.get("type") == "number":
        schema["default"] = float(default)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `router.toml`."""
    schema = _tidy(Config.model_json_schema(schema_generator=_SchemaGenerator))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "edgewise router.toml", **schema}


def schema_text() -> str:
    """The JSON Schema as the committed file has it."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
