/**
 * What is stored in the measurements of the IndexedDB storage. Runs in a page.
 */
import type { Append } from '@tidemark/storage'
import type { IndexeddbStorage } from '@tidemark/storage-indexeddb'

const utf8 = new TextEncoder()

export const seal: Uint8Array = utf8.encode(`signature_z${'S'.repeat(80)}`)
export const header: Uint8Array = utf8.encode(
  `{"type":"comap","ruleset":{"type":"unsafeAllowAll"},"meta":null,"uniqueness":"z${'u'.repeat(20)}"}`,
)
export const body: Uint8Array = freshBody()

function freshBody(): Uint8Array {
  const changes = `"encryptedChanges":"encrypted_U${randomText(110)}"`
  return utf8.encode(`{"privacy":"private","madeAt":1763700000000,${changes}}`)
}

/** What does not get smaller by compression, as encrypted content does not. */
export function randomText(bytes: number): string {
  let text = ''
  for (let index = 0; index < bytes; index++) text += String.fromCharCode(48 + Math.floor(Math.random() * 64))
  return text
}

export function transaction(size: number): Uint8Array {
  return utf8.encode(`"${randomText(size - 2)}"`)
}

export const sessionOf = (index: number): string =>
  `co_z${String(index % 1000).padStart(27, 'A')}_session_z${'B'.repeat(12)}`

/** Ids in no order, as hashes are: writing them touches keys everywhere. */
export const idOf = (index: number): string =>
  `co_z${(Math.imul(index + 1, 0x9e3779b1) >>> 0).toString(36).padStart(27, 'd')}`

export function created(index: number): Append {
  const run = { session: sessionOf(index), after: 0, transactions: [freshBody()], seal }
  return { id: idOf(index), kind: 'json', priority: 3, header, runs: [run] }
}

export async function must(storage: IndexeddbStorage, batch: readonly Append[]): Promise<void> {
  for (const result of await storage.append(batch)) {
    if ('failed' in result) throw result.cause
    if (result.refused.size > 0 || result.headerRefused !== undefined) throw new Error('refused')
  }
}

/** Sessions that go on in a hot document: each caller has one. */
const WRITERS = 100

/** Appends that go on for ever: the next content of one caller. */
export interface Load {
  readonly name: string
  prepare(storage: IndexeddbStorage): Promise<void>
  next(caller: number): Append
}

export function hot(documents: number): Load {
  const counts = new Map<string, number>()
  const ids = Array.from({ length: documents }, (_, index) => `hot ${documents} ${index}`)
  return {
    name: documents === 1 ? 'one hot document' : `${documents} hot documents`,
    prepare: (storage) =>
      must(
        storage,
        ids.map((id) => ({ id, kind: 'json', priority: 3, header, runs: [] })),
      ),
    next(caller) {
      const id = ids[caller % documents] as string
      const session = sessionOf(caller % WRITERS)
      const key = `${id} ${session}`
      const after = counts.get(key) ?? 0
      counts.set(key, after + 1)
      return { id, kind: 'json', priority: 3, runs: [{ session, after, transactions: [body], seal }] }
    },
  }
}
