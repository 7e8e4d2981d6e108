"""The quality to expect of each model's answer: by task and difficulty, domain and size of the prompt, and language."""

from edgewise.core.labels import DOMAIN_COUNT, SCORE_ONE, TASK_COUNT, TASKS
from edgewise.core.language import UNDETERMINED
from edgewise.core.layout import Memory
from edgewise.core.policy import DIFFICULTY_BANDS, FACTOR_ONE, LENGTH_BANDS, PROMPT_TOKENS, Model, Policy

CODE = TASKS.index("code")

_SURE_OF_LANGUAGE = 5_000
_NEGLIGIBLE_SCORE = 500


def read_quality_signals(policy: Policy, memory: Memory) -> None:
    """Set what `expected_quality` needs of the request: once, for all models."""
    decision = memory.decision
    scene = memory.scene
    position = effective_difficulty(policy, memory) * (DIFFICULTY_BANDS - 1)
    scene.band = min(position // SCORE_ONE, DIFFICULTY_BANDS - 2)
    scene.part = position - scene.band * SCORE_ONE
    sure = decision.language != UNDETERMINED and decision.language_score >= _SURE_OF_LANGUAGE
    scene.language = decision.language if sure else -1
    scene.task_count = 0
    scene.weight = 0
    for task in range(TASK_COUNT):
        score = decision.task_scores[task]
        if task == CODE:
            score = max(score, decision.code)
        if score >= _NEGLIGIBLE_SCORE:
            _add_task(task, score, memory)
    if scene.task_count == 0:
        _add_task(decision.task, 1, memory)
    _read_domains(memory)


def _read_domains(memory: Memory) -> None:
    """Which domains the request may be of, and between which two sizes its prompt lies."""
    scene = memory.scene
    tokens = max(PROMPT_TOKENS[0], min(memory.decision.input_tokens, PROMPT_TOKENS[LENGTH_BANDS - 1]))
    band = 0
    while band < LENGTH_BANDS - 2 and tokens >= PROMPT_TOKENS[band + 1]:
        band += 1
    shorter = PROMPT_TOKENS[band]
    scene.length_part = (tokens - shorter) * SCORE_ONE // (PROMPT_TOKENS[band + 1] - shorter)
    scene.domain_count = 0
    scene.domain_weight = 0
    for domain in range(DOMAIN_COUNT):
        score = memory.scores.domain[domain]
        if score >= _NEGLIGIBLE_SCORE:
            scene.domains[scene.domain_count] = domain * LENGTH_BANDS + band
            scene.domain_weights[scene.domain_count] = score
            scene.domain_weight += score
            scene.domain_count += 1


def _add_task(task: int, weight: int, memory: Memory) -> None:
    scene = memory.scene
    scene.tasks[scene.task_count] = task * DIFFICULTY_BANDS + scene.band
    scene.weights[scene.task_count] = weight
    scene.weight += weight
    scene.task_count += 1


def effective_difficulty(policy: Policy, memory: Memory) -> int:
    """The difficulty that counts: what the text claims, up to the policy's cap, and more for each turn before it."""
    decision = memory.decision
    earlier_turns = max(0, decision.user_turns - 1)
    claimed = min(decision.difficulty, policy.difficulty_cap)
    return min(SCORE_ONE, claimed + earlier_turns * policy.difficulty_per_turn)


def expected_quality(model: Model, memory: Memory) -> int:
    """The quality to expect, 0 to SCORE_ONE: over the tasks that the request may be, at its difficulty.

    More or less by the domains that it may be of, at the size of its prompt; less in a language in which the model is
    weaker.
    """
    scene = memory.scene
    total = 0
    for index in range(scene.task_count):
        at = scene.tasks[index]
        low = model.quality[at]
        high = model.quality[at + 1]
        total += scene.weights[index] * (low + (high - low) * scene.part // SCORE_ONE)
    quality = max(0, min(SCORE_ONE, total // scene.weight + _domain_offset(model, memory)))
    if scene.language >= 0:
        quality = quality * min(model.languages[scene.language], FACTOR_ONE) // FACTOR_ONE
    return quality


def _domain_offset(model: Model, memory: Memory) -> int:
    scene = memory.scene
    total = 0
    for index in range(scene.domain_count):
        at = scene.domains[index]
        low = model.domain_offsets[at]
        high = model.domain_offsets[at + 1]
        total += scene.domain_weights[index] * (low + (high - low) * scene.length_part // SCORE_ONE)
    return total // max(1, scene.domain_weight)
