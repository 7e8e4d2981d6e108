"""The label sets: what every class index, enum value and flag bit means. Hosts turn them into words."""

TASKS = (
    "factual",
    "extract",
    "summarize",
    "creative",
    "rewrite",
    "translate",
    "brainstorm",
    "chat",
    "code",
    "reasoning",
    "tool",
)
TASK_COUNT = len(TASKS)
TASK_TRANSLATE = TASKS.index("translate")

CLUSTERS = ("knowledge", "writing", "code", "reasoning", "tool")
CLUSTER_COUNT = len(CLUSTERS)
CLUSTER_OF_TASK = (0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 4)

DOMAINS = (
    "biology",
    "business",
    "chemistry",
    "computer_science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "philosophy",
    "physics",
    "psychology",
    "other_knowledge",
    "general",
)
DOMAIN_COUNT = len(DOMAINS)

ROLES = ("system", "developer", "user", "assistant", "tool")
ROLE_USER = ROLES.index("user")

OBJECTIVES = ("unset", "cost", "balanced", "quality", "latency")
OBJECTIVE_COUNT = len(OBJECTIVES)
TIERS = ("unset", "free", "pro", "enterprise")
TIER_COUNT = len(TIERS)

NEEDS = ("tools", "json", "vision", "audio", "live_retrieval", "guarded", "private")
NEED_JSON = 1 << NEEDS.index("json")
NEED_LIVE_RETRIEVAL = 1 << NEEDS.index("live_retrieval")
NEED_GUARDED = 1 << NEEDS.index("guarded")
NEED_PRIVATE = 1 << NEEDS.index("private")

STATUSES = ("ok", "no_policy", "wrong_weights", "empty_request", "no_feasible_model")
STATUS_OK, STATUS_NO_POLICY, STATUS_WRONG_WEIGHTS, STATUS_EMPTY_REQUEST, STATUS_NO_FEASIBLE_MODEL = range(len(STATUSES))

REASONS = (
    "best_value",
    "cluster_chain",
    "abstained",
    "input_cut",
    "time_sensitive",
    "difficulty_capped",
    "context",
    "output_limit",
    "needs",
    "budget",
    "latency",
    "residency",
    "language",
    "live_retrieval",
    "hook",
    "hook_failed",
    "guarded",
    "private",
    "tenant_models",
    "tenant_budget",
    "cooling_down",
    "circuit_open",
    "circuit_half_open",
    "target_quality",
    "target_saving",
    "session",
    "shift",
    "named_model",
    "unknown_model",
    "unknown_region",
)
(
    REASON_BEST_VALUE,
    REASON_CLUSTER_CHAIN,
    REASON_ABSTAINED,
    REASON_INPUT_CUT,
    REASON_TIME_SENSITIVE,
    REASON_DIFFICULTY_CAPPED,
    REASON_CONTEXT,
    REASON_OUTPUT_LIMIT,
    REASON_NEEDS,
    REASON_BUDGET,
    REASON_LATENCY,
    REASON_RESIDENCY,
    REASON_LANGUAGE,
    REASON_LIVE_RETRIEVAL,
    REASON_HOOK,
    REASON_HOOK_FAILED,
    REASON_GUARDED,
    REASON_PRIVATE,
    REASON_TENANT_MODELS,
    REASON_TENANT_BUDGET,
    REASON_COOLING_DOWN,
    REASON_CIRCUIT_OPEN,
    REASON_CIRCUIT_HALF_OPEN,
    REASON_TARGET_QUALITY,
    REASON_TARGET_SAVING,
    REASON_SESSION,
    REASON_SHIFT,
    REASON_NAMED_MODEL,
    REASON_UNKNOWN_MODEL,
    REASON_UNKNOWN_REGION,
) = range(len(REASONS))

SCORE_ONE = 10_000
"""Scores are integers: 0 stands for 0.0, SCORE_ONE for 1.0."""
