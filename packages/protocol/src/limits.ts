/**
 * How large an input may be. Every length and count is checked against these before anything is allocated for it (L10, L14).
 */
export interface Limits {
  /** One received frame. */
  readonly frameBytesMax: number
  /** One received message of our own dialect (the Jazz dialect: one line). */
  readonly messageBytesMax: number
  /** A document or session id, as UTF-8. */
  readonly idBytesMax: number
  /** Sessions of one message. */
  readonly sessionsMax: number
  /** Sessions of one known state, which may span several messages of our own dialects. */
  readonly stateSessionsMax: number
  readonly transactionsMax: number
  readonly jsonDepthMax: number
  /** Entries of one `reconcile` batch. */
  readonly reconcileMax: number
  /** Document ids, and as many session ids, that the binary dialect remembers of a peer (1,024 to 65,536). */
  readonly namesMax: number
}

export const DEFAULT_LIMITS: Limits = {
  frameBytesMax: 64 * 1024 * 1024,
  // What a storage takes by default (a run of 4 MiB) fits, also as base64.
  messageBytesMax: 8 * 1024 * 1024,
  idBytesMax: 256,
  sessionsMax: 10_000,
  stateSessionsMax: 100_000,
  transactionsMax: 100_000,
  jsonDepthMax: 64,
  reconcileMax: 10_000,
  namesMax: 16_384,
}

/** What every receiver takes, so a sender may send it before it heard a `hello`; of the rest a `hello` says nothing. */
export const MINIMUM_LIMITS: Limits = {
  ...DEFAULT_LIMITS,
  frameBytesMax: 64 * 1024,
  messageBytesMax: 64 * 1024,
  namesMax: 1_024,
}

/**
 * @throws TypeError for a limit below what every receiver takes, which peers that keep to the protocol would exceed, and for one that is
 * no whole number up to 2^53−1: a `hello` could not say it.
 */
export function checkLimits(limits: Partial<Limits>): void {
  for (const [name, min] of Object.entries(MINIMUM_LIMITS)) {
    const limit = limits[name as keyof Limits]
    if (limit === undefined) continue
    if (!Number.isSafeInteger(limit))
      throw new TypeError(
        `limits.${name}: expected a whole number from ${min} to 2^53−1; got ${shown(limit)}; leave it out for the default`,
      )
    if (limit < min)
      throw new TypeError(`limits.${name}: expected at least ${min}, which every peer may send; got ${limit}`)
  }
}

/** Of whatever was given in place of a number, only what it is. */
function shown(limit: unknown): string {
  if (typeof limit === 'number') return `${limit}`
  return limit === null ? 'null' : `a ${typeof limit}`
}
