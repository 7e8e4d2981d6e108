/** What the page and the router's thread say to each other. */

/** A request as JSON text, as POST /v1/route takes it. */
export interface Question {
  readonly id: number;
  readonly request: string;
}

export type Answer =
  | { readonly kind: "ready"; readonly startMs: number; readonly version: string; readonly needs: readonly string[] }
  | {
      readonly kind: "decision";
      readonly id: number;
      readonly decision: DecisionJson;
      /** The mean of so many repetitions. */
      readonly microseconds: number;
      readonly repetitions: number;
    }
  | { readonly kind: "error"; readonly id: number; readonly message: string };

/** As much of the decision's JSON as the page shows. */
export interface DecisionJson {
  readonly model: string;
  readonly fallbacks: readonly string[];
  readonly signals: {
    readonly task: { readonly label: string; readonly cluster: string; readonly scores: Record<string, number> };
    readonly domain: { readonly label: string; readonly score: number };
    readonly code: number;
    readonly difficulty: number;
    readonly recency: number;
    readonly safety: { readonly harm: number; readonly jailbreak: number; readonly pii: number };
    readonly language: { readonly code: string; readonly score: number; readonly script: string };
  };
  readonly confidence: number;
  readonly abstained: boolean;
  readonly truncated: boolean;
  readonly tokens: { readonly input: number; readonly output: number };
  readonly cost_usd: number;
  readonly ttft_ms: number;
  readonly reasons: readonly { readonly code: string; readonly text: string }[];
  readonly runner_up: { readonly model: string; readonly margin: number } | null;
}
