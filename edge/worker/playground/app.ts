/** The page: makes a request of the form, has the router decide it at every change, and shows the decision. */

import type { Answer, DecisionJson, Question } from "./messages.ts";

const EXAMPLES: Record<string, string> = {
  Code: "Write a Python function that merges two sorted lists without using sort(), with type hints and a doctest.",
  Reasoning: "Prove that there are infinitely many primes congruent to 3 modulo 4.",
  Translation: "Translate into French: The meeting has been moved to Thursday, please bring the signed contract.",
  "Fresh facts": "Who won the match last night, and what is the exchange rate of the euro today?",
  "Legal, Japanese": "次の賃貸借契約の解除条項を要約し、借主に不利な点を三つ挙げてください。",
  Health: "Ich habe seit drei Tagen Fieber und Halsschmerzen. Ab wann sollte ich zum Arzt gehen?",
  Chat: "hey, how was your day?",
};

const element = <Kind extends HTMLElement = HTMLElement>(id: string): Kind => document.getElementById(id) as Kind;
const form = element<HTMLFormElement>("form");
const prompt = element<HTMLTextAreaElement>("prompt");

const router = new Worker("decider.js", { type: "module" });
let asked = 0;
let shown = 0;
let sent = "";
let waiting = false;
let ready = false;

router.addEventListener("error", () => setStatus("The router could not be loaded; the console says why."));
router.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
  if (data.kind === "ready") start(data.startMs, data.version, data.needs);
  else show(data);
});
form.addEventListener("input", ask);
form.addEventListener("submit", (event) => event.preventDefault());
for (const [name, text] of Object.entries(EXAMPLES)) {
  const button = make("button", name);
  button.type = "button";
  button.addEventListener("click", () => {
    prompt.value = text;
    ask();
  });
  element("examples").append(button);
}
void fillRegions();

function start(startMs: number, version: string, needs: readonly string[]): void {
  for (const need of needs) {
    const label = make("label", ` ${need.replaceAll("_", " ")}`);
    const box = make("input");
    Object.assign(box, { type: "checkbox", name: "needs", value: need });
    label.prepend(box);
    element("needs").append(label);
  }
  setStatus(`Version ${version}, started in ${startMs.toFixed(1)} ms`);
  ready = true;
  prompt.value ||= EXAMPLES["Code"]!;
  ask();
}

/** The regions that the bundled policy names; without them only the choice "anywhere" is left. */
async function fillRegions(): Promise<void> {
  const response = await fetch("regions.json");
  const regions = (await response.json()) as string[];
  form["region"].append(...regions.map((region) => make("option", region)));
}

/** Asks about the form as it is, one question at a time: while one is out, only the newest state is remembered. */
function ask(): void {
  if (!ready) return;
  asked++;
  if (waiting) return;
  waiting = true;
  shown = asked;
  sent = JSON.stringify(readForm());
  router.postMessage({ id: shown, request: sent } satisfies Question);
}

function readForm(): object {
  const data = new FormData(form);
  const request: Record<string, unknown> = { text: prompt.value };
  for (const name of ["objective", "region", "tier"]) if (data.get(name)) request[name] = data.get(name);
  for (const name of ["budget_usd", "latency_slo_ms", "max_tokens"]) {
    if (data.get(name)) request[name] = Number(data.get(name));
  }
  if (data.has("needs")) request["needs"] = data.getAll("needs");
  return request;
}

function show(answer: Exclude<Answer, { kind: "ready" }>): void {
  waiting = false;
  element("answer").hidden = false;
  element("error").hidden = answer.kind !== "error";
  element("decision").hidden = answer.kind === "error";
  if (answer.kind === "error") element("error").textContent = answer.message;
  else showDecision(answer.decision, answer.microseconds, answer.repetitions);
  if (asked !== shown) ask();
}

function showDecision(decision: DecisionJson, microseconds: number, repetitions: number): void {
  const { signals } = decision;
  element("model").textContent = decision.model;
  element("chain").textContent =
    decision.fallbacks.length > 0 ? `then ${decision.fallbacks.join(" → ")}` : "no fallback";
  showFacts({
    "decided in": `${microseconds < 100 ? microseconds.toFixed(1) : microseconds.toFixed(0)} µs`,
    "expected cost": `$${decision.cost_usd.toPrecision(3)}`,
    "first token": `${decision.ttft_ms} ms`,
    tokens: `${decision.tokens.input} in, ${decision.tokens.output} out`,
    confidence: `${percent(decision.confidence)}${decision.abstained ? ", abstained" : ""}`,
    "runner-up": decision.runner_up
      ? `${decision.runner_up.model}, ${percent(decision.runner_up.margin)} behind`
      : "none",
  });
  element("facts").title = `the mean of ${repetitions} repetitions in this browser`;
  const tasks = Object.entries(signals.task.scores).sort(([, one], [, other]) => other - one);
  showBars("tasks", tasks, signals.task.label);
  const { harm, jailbreak, pii } = signals.safety;
  const { code, difficulty, recency } = signals;
  showBars("signals", Object.entries({ code, difficulty, recency, harm, jailbreak, pii }));
  const tags = [
    `language ${languageName(signals.language.code)}`,
    `script ${signals.language.script}`,
    `domain ${signals.domain.label.replaceAll("_", " ")} (${percent(signals.domain.score)})`,
    `cluster ${signals.task.cluster}`,
    ...(decision.truncated ? ["input cut"] : []),
  ];
  element("tags").replaceChildren(...tags.map((tag) => make("span", tag)));
  element("reasons").replaceChildren(...decision.reasons.map(({ text }) => make("li", text)));
  const request = JSON.stringify(JSON.parse(sent), null, 2);
  element("json").textContent = `POST /v1/route\n${request}\n\n${JSON.stringify(decision, null, 2)}`;
}

function showFacts(facts: Record<string, string>): void {
  const rows = Object.entries(facts).map(([name, value]) => {
    const row = make("div");
    row.append(make("dt", name), make("dd", value));
    return row;
  });
  element("facts").replaceChildren(...rows);
}

/** A list of names with a bar and a percentage each; the strongest may be marked. */
function showBars(id: string, scores: [string, number][], strongest?: string): void {
  const rows = scores.map(([name, score]) => {
    const row = make("li");
    const bar = make("span");
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    bar.style.setProperty("--share", String(score));
    row.classList.toggle("strongest", name === strongest);
    row.append(make("span", name), bar, make("span", percent(score)));
    return row;
  });
  element(id).replaceChildren(...rows);
}

function languageName(code: string): string {
  if (code === "und") return "unknown";
  return new Intl.DisplayNames("en", { type: "language" }).of(code) ?? code;
}

function percent(share: number): string {
  if (share > 0 && share < 0.01) return "<1%";
  return `${Math.round(share * 100)}%`;
}

function setStatus(text: string): void {
  element("status").textContent = text;
}

function make<Name extends keyof HTMLElementTagNameMap>(name: Name, text = ""): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
