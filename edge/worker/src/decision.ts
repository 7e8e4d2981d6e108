/** Decisions: what the core decided, in the words and the JSON that people and programs read. */

import type { Decision } from "./engine.ts";
import { toFixedHalfEven } from "./numbers.ts";

type Reason = Decision["reasons"][number];

/** The sentences and labels that every host shares; the build writes them from the Python package. */
export interface Phrases {
  readonly templates: Readonly<Record<string, string>>;
  readonly clusters: readonly string[];
  readonly languages: readonly string[];
  readonly needs: readonly string[];
}

const SCORE_ONE = 10_000;
const PICODOLLARS_PER_DOLLAR = 1e12;

/** The decision's JSON shape, without the request's id and the engine's name. */
export function decisionJson(decision: Decision, phrases: Phrases): object {
  return {
    model: decision.model,
    fallbacks: decision.fallbacks,
    signals: signals(decision),
    confidence: score(decision.confidence),
    abstained: decision.abstained,
    truncated: decision.truncated,
    tokens: { input: decision.inputTokens, output: decision.outputTokens },
    cost_usd: Number(dollarsText(decision.cost, 9)),
    ttft_ms: decision.ttftMs,
    reasons: decision.reasons.map((reason) => ({
      code: snake(reason.code),
      ...(reason.model && { model: reason.model }),
      text: sentence(reason, phrases),
    })),
    runner_up: decision.runnerUp ? { model: decision.runnerUp, margin: score(decision.margin) } : null,
  };
}

function signals(decision: Decision): object {
  const scores = Object.entries(decision.taskScores);
  return {
    task: {
      label: snake(decision.task),
      cluster: snake(decision.cluster),
      score: score(Math.max(...scores.map(([, value]) => value))),
      scores: Object.fromEntries(scores.map(([task, value]) => [task, score(value)])),
    },
    domain: { label: snake(decision.domain), score: score(decision.domainScore) },
    code: score(decision.code),
    difficulty: score(decision.difficulty),
    recency: score(decision.recency),
    safety: { harm: score(decision.harm), jailbreak: score(decision.jailbreak), pii: score(decision.pii) },
    language: { code: decision.language, score: score(decision.languageScore), script: capitalize(decision.script) },
    user_turns: decision.userTurns,
  };
}

/** Why each model was dropped, as far as the decision's reasons reach. */
export function droppedModels(decision: Decision, phrases: Phrases): { model: string; code: string; text: string }[] {
  return decision.reasons
    .filter((reason) => reason.model)
    .map((reason) => ({ model: reason.model, code: snake(reason.code), text: sentence(reason, phrases) }));
}

/** The reason as a sentence: its template, filled in. */
export function sentence(reason: Reason, phrases: Phrases): string {
  const { value } = reason;
  const number = Number(value);
  const words: Record<string, () => string | undefined> = {
    model: () => reason.model,
    value: () => String(value),
    score: () => toFixedHalfEven(number / SCORE_ONE, 2),
    dollars: () => `$${dollarsText(value, 6)}`,
    cluster: () => phrases.clusters[number],
    language: () => phrases.languages[number],
    needs: () => phrases.needs.filter((_, bit) => (value >> BigInt(bit)) & 1n).join(", "),
  };
  const template = phrases.templates[snake(reason.code)] ?? "";
  return template.replaceAll(/\{(\w+)\}/g, (field, name: string) => words[name]?.() ?? field);
}

/** The contract's names have hyphens, JSON's have underscores. */
export function snake(name: string): string {
  return name.replaceAll("-", "_");
}

export function capitalize(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1);
}

function score(value: number): number {
  return value / SCORE_ONE;
}

/** Picodollars as dollars with so many decimals. */
export function dollarsText(picodollars: bigint, digits: number): string {
  return toFixedHalfEven(Number(picodollars) / PICODOLLARS_PER_DOLLAR, digits);
}
