/**
 * Upgrades as plain data: what a server sees of a client before there is a connection, and what it answers.
 *
 * Policies (`@tidemark/server`) speak in these terms, so that they need no socket. Not here: HTTP (`accept.ts`).
 */

export interface UpgradeRequest {
  /** Path and query, as the client sent them. */
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly remoteAddress: string | undefined
}

/** `admitted` is whatever the server wants to know of this client later. */
export type Admission<T> = { readonly admitted: T } | Refusal

export interface Refusal {
  /** 401 who are you, 403 not you, 429 not so often, 503 not now. */
  readonly status: 400 | 401 | 403 | 429 | 503
  /** Sent as the body: one short line, no secrets. */
  readonly message: string
  readonly retryAfterMs?: number
}
