/** Conversations: who answered last in each session, so that the router can stay with the model that has its cache. */

import type { Request } from "./engine.ts";

const MOST_CONVERSATIONS = 10_000;

/** The newest sessions of all tenants, with the model that answered last and how much of the prompt it has read. */
export class Conversations {
  readonly #known = new Map<string, { readonly model: string; readonly tokens: number }>();

  /** The request with what is known of its session, where the client does not say so itself. */
  recall(request: Request): Request {
    const known = request.session ? this.#known.get(keyOf(request)) : undefined;
    if (known === undefined || request.sessionModel) return request;
    return { ...request, sessionModel: known.model, cachedTokens: known.tokens };
  }

  /** A model has answered, and read so many tokens of the conversation, its own answer included. */
  remember(request: Request, model: string, tokens: number): void {
    if (!request.session) return;
    const key = keyOf(request);
    this.#known.delete(key); // the newest stands last
    this.#known.set(key, { model, tokens });
    if (this.#known.size > MOST_CONVERSATIONS) this.#known.delete(this.#known.keys().next().value!);
  }
}

function keyOf({ tenant, session }: Request): string {
  return JSON.stringify([tenant, session]);
}
