/**
 * Lists, headers and verifier states of the whole.
 *
 * L2: a list leaves nothing out in silence: every layer must answer. Not here: marks (`marks.ts`).
 */
import { compareIds, StorageError } from '@tidemark/storage'
import { type Core, readers } from './core.ts'
import { ask, sightOf, stateOf } from './race.ts'

const PAGE = 1_000

export async function list(core: Core, after: string | undefined, limit: number): Promise<readonly string[]> {
  checkReaders(core)
  const options = after === undefined ? { limit } : { after, limit }
  const lists = await Promise.all(
    readers(core)
      // A layer that cannot list was given as one that need not.
      .filter((layer) => layer.opened?.capabilities.list !== false)
      .map((layer) => layer.call('look', (storage) => storage.list(options))),
  )
  const [first = []] = lists
  if (lists.every((ids) => ids.length === first.length && ids.every((id, index) => id === first[index]))) return first
  return [...new Set(lists.flat())].sort(compareIds).slice(0, limit)
}

/** A cache alone knows of no document that it is not there. */
function checkReaders(core: Core): void {
  if (readers(core).length === 0) throw new StorageError('IO', 'layers: there are only caches')
}

export async function count(core: Core): Promise<number> {
  let counted = 0
  for (let after: string | undefined; ; ) {
    const ids = await list(core, after, PAGE)
    counted += ids.length
    if (ids.length < PAGE) return counted
    after = ids.at(-1)
  }
}

/** From the first layer that has them; the next is asked for what it lacks. */
export async function headers(core: Core, ids: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
  checkReaders(core)
  const found: (Uint8Array | undefined)[] = ids.map(() => undefined)
  let failure: { readonly cause: unknown } | undefined
  for (const layer of readers(core)) {
    const lacking = ids.flatMap((id, index) => (found[index] === undefined ? [{ id, index }] : []))
    if (lacking.length === 0) return found
    try {
      const asked = lacking.map(({ id }) => id)
      const answers = await layer.call('page', (storage, options) => storage.headers(asked, options))
      for (const [at, { index }] of lacking.entries()) found[index] = answers[at]
    } catch (cause) {
      failure ??= { cause }
    }
  }
  // Failed is not absent.
  if (failure !== undefined && found.some((header) => header === undefined)) throw failure.cause
  return found
}

/** Of each session, from a layer that holds all of it: the state belongs to the end. */
export async function verifierStates(
  core: Core,
  id: string,
  sessions: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const told = core.seen.of(id)?.told?.sessions
  const silences = sightOf(core, id) === undefined ? await ask(core, [id]) : []
  const joined = stateOf(core, id)
  // L2: a state of less than whoever asks was told of is the state of something else.
  const isLess = (one: string) => (joined?.known.sessions.get(one) ?? 0) < (told?.get(one) ?? 1)
  if (silences[0] !== undefined && sessions.some(isLess)) throw silences[0].cause
  const found = new Map<string, Uint8Array>()
  if (joined === undefined) return found
  let failure: { readonly cause: unknown; readonly asked: readonly string[] } | undefined
  for (const layer of readers(core)) {
    const state = core.seen.of(id)?.states.get(layer)
    const asked = sessions.filter(
      (one) =>
        !found.has(one) &&
        state?.known.sessions.get(one) === joined.known.sessions.get(one) &&
        joined.known.sessions.has(one),
    )
    if (asked.length === 0) continue
    try {
      const states = await layer.call('look', (storage) => storage.verifierStates(id, asked))
      for (const [session, bytes] of states) found.set(session, bytes)
    } catch (cause) {
      failure ??= { cause, asked }
    }
  }
  // Failed is not absent.
  if (failure?.asked.some((session) => !found.has(session))) throw failure.cause
  return found
}
