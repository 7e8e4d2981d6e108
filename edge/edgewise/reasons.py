"""The sentences behind the reason codes. Every host fills in the same templates; the Worker's bundle carries a copy.

`{model}`: the model's name. The number that decided stands in as `{value}` (plain), `{score}` (0 to 1), `{dollars}`,
`{cluster}` or `{language}` (labels), or `{needs}` (a list of labels, from bits).
"""

from edgewise.core.labels import CLUSTERS, NEEDS, REASONS, SCORE_ONE
from edgewise.core.language import LANGUAGES
from edgewise.money import to_dollars

TEMPLATES = {
    "best_value": "{model} is worth most here: {dollars} after its price and its wait",
    "cluster_chain": "{model} comes first in the chain of the {cluster} cluster",
    "abstained": "the classifier is unsure ({score}), so the default {model} answers",
    "input_cut": "the ask has about {value} tokens; its head and tail were read",
    "time_sensitive": "the answer depends on fresh facts ({score})",
    "difficulty_capped": "the text's own difficulty counts up to {score} only",
    "context": "the prompt and the answer do not fit {model}'s {value} tokens",
    "output_limit": "{model} writes at most {value} tokens",
    "needs": "{model} cannot do: {needs}",
    "budget": "{model} would cost {dollars}, more than the budget",
    "latency": "{model} takes {value} ms to its first token, longer than the objective",
    "residency": "{model} is not served in the request's region, where the data must stay",
    "language": "{model} does not know {language}",
    "live_retrieval": "{model} has no live retrieval",
    "hook": "the policy's hook leaves {model} out",
    "hook_failed": "the policy's hook failed, so the policy decided without it",
    "guarded": "{model} has no guard, which this request needs (harm or jailbreak {score})",
    "private": "{model} is not trusted with personal data ({score})",
    "tenant_models": "{model} is not on the tenant's list",
    "tenant_budget": "{model} would cost more than the {dollars} that the tenant has left today",
    "cooling_down": "{model} limits its rate for another {value} ms",
    "circuit_open": "{model} failed {value} times in a row and is left alone for now",
    "circuit_half_open": "{model} failed {value} times in a row and is being probed by other requests",
    "target_quality": "{model} is the cheapest that reaches the target quality; {score} is expected of it",
    "target_saving": "{model} is the best that saves enough of the best model's price; {score} is expected of it",
    "session": "{model} answered before in this session, and its prompt cache saves {dollars}",
    "shift": "{model} is slow (p95 {value} ms), so this request is among those that go elsewhere",
    "named_model": "{model} is the model that the request names",
    "unknown_model": "the request names a model that the policy does not know",
    "unknown_region": "the request names a region that the policy does not know, where some regions are strict",
}
assert tuple(TEMPLATES) == REASONS


def sentence(code: str, model: str, value: int) -> str:
    """The reason as a sentence."""
    template = TEMPLATES[code]
    return (
        template.replace("{model}", model)
        .replace("{value}", str(value))
        .replace("{score}", f"{value / SCORE_ONE:.2f}")
        .replace("{dollars}", f"${to_dollars(value):.6f}")
        .replace("{cluster}", CLUSTERS[value] if "{cluster}" in template else "")
        .replace("{language}", LANGUAGES[value] if "{language}" in template else "")
        .replace("{needs}", ", ".join(need for bit, need in enumerate(NEEDS) if value >> bit & 1))
    )
