import assert from "node:assert/strict";
import { test } from "node:test";
import { compiled } from "./support.mjs";

const { sentence } = await compiled("decision");

const phrases = {
  templates: {
    best_value: "{model} is worth {dollars}",
    abstained: "unsure ({score}), so {model} answers",
    needs: "{model} cannot do: {needs}",
    cluster_chain: "{model} leads {cluster}",
    language: "{model} does not know {language}",
    context: "{model} holds {value} tokens",
  },
  clusters: ["knowledge", "writing"],
  languages: ["und", "af"],
  needs: ["tools", "json", "vision"],
};

const SENTENCES = [
  [{ code: "best-value", model: "m", value: 962_189_000_000n }, "m is worth $0.962189"],
  [{ code: "abstained", model: "m", value: 1250n }, "unsure (0.12), so m answers"],
  [{ code: "needs", model: "m", value: 0b101n }, "m cannot do: tools, vision"],
  [{ code: "cluster-chain", model: "m", value: 1n }, "m leads writing"],
  [{ code: "language", model: "{value}", value: 1n }, "{value} does not know af"],
  [{ code: "context", model: "m", value: 9_007_199_254_740_993n }, "m holds 9007199254740993 tokens"],
];

for (const [reason, text] of SENTENCES) {
  test(text, () => assert.equal(sentence(reason, phrases), text));
}
