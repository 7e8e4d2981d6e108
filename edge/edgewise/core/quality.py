"""The quality to expect of each model's answer: by task, difficulty, domain and language."""

from edgewise.core.labels import SCORE_ONE, TASK_COUNT, TASKS
from edgewise.core.language import UNDETERMINED
from edgewise.core.layout import Memory
from edgewise.core.policy import DIFFICULTY_BANDS, FACTOR_ONE, Model, Policy

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

    Less in a domain or a language in which the model is weaker.
    """
    scene = memory.scene
    decision = memory.decision
    total = 0
    for index in range(scene.task_count):
        at = scene.tasks[index]
        low = model.quality[at]
        high = model.quality[at + 1]
        total += scene.weights[index] * (low + (high - low) * scene.part // SCORE_ONE)
    quality = total // scene.weight
    loss = model.domain_losses[decision.domain]
    if loss > 0:
        quality -= quality * min(loss, FACTOR_ONE) * decision.domain_score // (FACTOR_ONE * SCORE_ONE)
    if scene.language >= 0:
        quality = quality * min(model.languages[scene.language], FACTOR_ONE) // FACTOR_ONE
    return quality
