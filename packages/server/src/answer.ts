/**
 * Answer: what to say to a LOAD, from the storage alone. For servers that have a loop of their own.
 *
 * L2: a storage that fails is an exception, never absence. L7: a peer that claims more is asked for it, then told plainly what is
 * held. L8: pages end at seals. One known-state read for a peer that is up to date, and no content; else one page is in memory.
 * Not here: subscriptions, permission, forks, what peers are believed to hold (`@tidemark/sync` has all that).
 */
import { covers, EMPTY, type KnownState, knownState, union } from '@tidemark/known-state'
import type { ContentMessage, KnownMessage, LoadMessage } from '@tidemark/protocol'
import { PAGE_BYTES, type Page, type Storage, type StoredState, unlessAborted } from '@tidemark/storage'

export interface AnswerOptions {
  /** Stored bytes of one page. Default 64 KiB. */
  readonly pageBytes?: number
  /** Say what is held before its content, as peers of the Jazz dialect need it that hold something already. Default: false. */
  readonly knownFirst?: boolean
  readonly signal?: AbortSignal
}

/**
 * The messages that answer a LOAD, in order: what the peer lacks in pages, then, if it claims more than is held, a `load` that asks
 * for it; and a `known` wherever content alone would not say what is held. `known` without header means that it is not stored.
 *
 * @throws StorageError if the storage cannot be read: say so to the peer, or nothing; the reason of the signal.
 */
export async function* answer(
  storage: Pick<Storage, 'knownStates' | 'read'>,
  load: LoadMessage,
  options: AnswerOptions = {},
): AsyncGenerator<LoadMessage | KnownMessage | ContentMessage, void, undefined> {
  const { pageBytes = PAGE_BYTES, knownFirst = false, signal } = options
  signal?.throwIfAborted()
  const [stored] = await unlessAborted(storage.knownStates([load.id]), signal)
  const held = stored?.known ?? EMPTY
  const lacks = load.probe !== true && !covers(load.known, held)
  const claimsMore = load.probe !== true && stored?.erased === undefined && !covers(held, load.known)
  const tell = known(load, stored)
  const ask: LoadMessage = { action: 'load', id: load.id, ...told(held, stored) }
  const plainly = claimsMore ? [ask, tell] : [tell]
  const first = lacks && knownFirst && claims(load.known)

  if (first) yield* plainly
  if (lacks) yield* pages(storage, load, stored, pageBytes, signal)
  if (!first && (claimsMore || !lacks)) yield* plainly
}

/** An erased document covers every claim: nothing of it is asked for. */
function known({ id, known: claim }: LoadMessage, stored: StoredState | undefined): KnownMessage {
  const held = stored?.known ?? EMPTY
  const said = stored?.erased === undefined ? held : union(claim, held)
  return { action: 'known', id, ...told(said, stored), correction: false }
}

/** L3: names no more than may be acknowledged. Digests stand for exactly what is held. */
function told(known: KnownState, stored: StoredState | undefined): Pick<LoadMessage, 'known' | 'digests'> {
  if (stored?.durable === undefined) return { known, ...digestsOf(stored) }
  return { known: lower(known, stored.durable) }
}

function lower(a: KnownState, b: KnownState): KnownState {
  const least = [...a.sessions].map(([session, end]) => [session, Math.min(end, b.sessions.get(session) ?? 0)] as const)
  return knownState(a.header && b.header, least)
}

async function* pages(
  storage: Pick<Storage, 'read'>,
  { id, known: claim }: LoadMessage,
  stored: StoredState | undefined,
  bytesMax: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ContentMessage, void, undefined> {
  const held = stored?.known ?? EMPTY
  let first = true
  for (let after = claim; ; ) {
    const page = await unlessAborted(storage.read(id, after, { bytesMax }), signal)
    if (page === undefined) return
    // L2: where a layer was silent when it was asked, all that the others hold is an answer, and reading on would fail.
    const more = page.more && !(stored?.partial && covers(page.end, held))
    if (page.header !== undefined || page.runs.length > 0) {
      yield contentOf(page, first && more ? union(after, held) : undefined)
      signal?.throwIfAborted()
    }
    if (!more) return
    after = page.end
    first = false
  }
}

/** `expectUntil`: what the peer will hold after the last of several pages. */
function contentOf({ id, kind, priority, header, runs }: Page, expectUntil: KnownState | undefined): ContentMessage {
  return {
    action: 'content',
    id,
    kind,
    priority,
    ...(header !== undefined && { header }),
    runs,
    ...(expectUntil !== undefined && { expectUntil }),
  }
}

function digestsOf(stored: StoredState | undefined): Pick<LoadMessage, 'digests'> {
  return stored !== undefined && stored.digests.size > 0 ? { digests: stored.digests } : {}
}

const claims = (claim: KnownState): boolean => claim.header || claim.sessions.size > 0
