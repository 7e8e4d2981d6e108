/** What the proxy reads of router.toml beside the policy: endpoints, tenants' keys and rates. It holds no API keys. */

/** Where and how a model is called. */
export interface Endpoint {
  readonly base_url: string;
  /** The Worker secret that holds the API key; null where it takes none. */
  readonly api_key_env: string | null;
  /** What the model is called there. */
  readonly model: string;
  readonly api: readonly string[];
  readonly resume: "ask" | "prefill";
  readonly logprobs: boolean;
}

export interface ProxyTable {
  readonly models: Readonly<Record<string, { readonly provider: string; readonly endpoint: Endpoint | null }>>;
  readonly tenants: Readonly<
    Record<string, { readonly requests_per_minute: number | null; readonly key_sha256: readonly string[] }>
  >;
  /** The header in which the platform names the place of a client, and the region that each place stands for. */
  readonly region_header: string | null;
  readonly regions: Readonly<Record<string, string>>;
}

export const NO_PROXY: ProxyTable = { models: {}, tenants: {}, region_header: null, regions: {} };

/** The table that `edgewise config pack --proxy` wrote. Throws where it is something else. */
export function readProxyTable(text: string): ProxyTable {
  const table = JSON.parse(text) as Partial<ProxyTable> | null;
  const wrong = (["models", "tenants", "regions"] as const).find((name) => typeof table?.[name] !== "object");
  if (wrong !== undefined) throw new Error(`it has no ${wrong}; write it with edgewise config pack --proxy`);
  return table as ProxyTable;
}
