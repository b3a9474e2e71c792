/**
 * What a tab does in tabs.test.ts. Runs in a page; the test calls it by name.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Append, RUN_BYTES_MAX } from '@tidemark/storage'
import { type IndexeddbStorage, type IndexeddbStorageOptions, indexeddbStorage } from '../src/index.ts'
import { listChanges, listIds, listMarks } from '../src/lists.ts'
import { readNumbers } from '../src/numbers.ts'
import { readPage } from '../src/read.ts'
import { STORES } from '../src/schema.ts'
import { freshTools } from '../src/tools.ts'
import { type Reach, transact } from '../src/transaction.ts'

/** More than there is of anything. */
const LIMIT = 1_000_000

const utf8 = new TextEncoder()
let name: string
let storage: IndexeddbStorage
let stopping = false

export async function open(options: IndexeddbStorageOptions): Promise<number> {
  name = options.name
  storage = indexeddbStorage(options)
  return (await storage.open()).history?.length ?? 0
}

export interface Told {
  readonly session: string
  readonly ids: readonly string[]
  readonly until: number
}

/**
 * Appends transaction after transaction to `session` of a shared document, and makes a document of its own with every tenth;
 * the global function `tell` is called with what was acknowledged, when it was. Goes on until `count`, or until `stop` is called.
 */
export async function write(session: string, count: number, tell: string): Promise<void> {
  const told = (globalThis as unknown as Record<string, (told: Told) => void>)[tell] as (told: Told) => void
  const state = (await storage.knownStates(['shared']))[0]
  for (let at = state?.known.sessions.get(session) ?? 0; at < count && !stopping; at++) {
    const batch = [content('shared', session, at)]
    if (at % 10 === 0) batch.push(content(`${session} ${at}`, session, 0))
    for (const result of await storage.append(batch, { marks: new Map([[session, utf8.encode(String(at + 1))]]) }))
      if ('failed' in result || result.refused.size > 0) throw new Error(`not stored: ${JSON.stringify(result)}`)
    told({ session, ids: batch.map(({ id }) => id), until: at + 1 })
  }
}

export function stop(): void {
  stopping = true
}

/** Makes documents of one transaction of so many bytes; answers what became of each, or the code that all of it failed with. */
export async function append(ids: readonly string[], bytes: number): Promise<string | readonly string[]> {
  const runs = [{ session: 'a', after: 0, transactions: [incompressible(bytes)] }]
  try {
    const results = await storage.append(ids.map((id) => ({ ...content(id, 'a', 0), runs })))
    return results.map((result) => ('failed' in result ? result.failed : 'stored'))
  } catch (cause) {
    return (cause as { code: string }).code
  }
}

/** Chromium compresses what it stores, and counts what is left of it. */
function incompressible(bytes: number): Uint8Array {
  let state = 1
  return Uint8Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state >>> 23
  })
}

function content(id: string, session: string, index: number): Append {
  const run = { session, after: index, transactions: [transaction(session, index)] }
  return { id, kind: 'bytes', priority: 3, header: utf8.encode(`header of ${id}`), runs: [run] }
}

/** What transaction `index` is follows from its place; of many sizes, so that tails are folded now and then. */
function transaction(session: string, index: number): Uint8Array {
  return utf8.encode(`${session}#${index} `.padEnd((index * 97) % 3000, 'x'))
}

export interface Checked {
  readonly sessions: Readonly<Record<string, number>>
  readonly marks: Readonly<Record<string, string>>
  readonly ids: readonly string[]
  /** Everything that is not as it must be. */
  readonly wrong: readonly string[]
}

/**
 * Reads all there is, in one transaction: every transaction is what its place says, changes are in order, and marks stand with
 * their content. That holds at any moment, whatever writers of all tabs are doing: a commit is seen whole or not at all.
 */
export async function check(): Promise<Checked> {
  const database = await reached(indexedDB.open(name))
  try {
    return await transact(database, { stores: STORES, mode: 'readonly', durability: 'strict' }, checkIn)
  } finally {
    database.close()
  }
}

async function checkIn(reach: Reach): Promise<Checked> {
  const wrong: string[] = []
  const sessions = await checkContent(reach, wrong)
  const changes = await listChanges(reach, 0, LIMIT)
  for (const [index, { sequence }] of changes.entries())
    if (index > 0 && sequence <= (changes[index - 1]?.sequence ?? 0)) wrong.push(`change ${sequence} out of order`)
  const ids = await listIds(reach, undefined, LIMIT)
  const { documents, sequence } = await readNumbers(reach)
  if (ids.length !== changes.length || ids.length !== documents) wrong.push('ids, changes and count differ')
  if (sequence !== (changes.at(-1)?.sequence ?? 0)) wrong.push(`the store is at ${sequence}, its last change is not`)
  const marks: Record<string, string> = {}
  for (const [key, value] of await listMarks(reach, { prefix: '', limit: LIMIT }))
    marks[key] = new TextDecoder().decode(value)
  // Whichever is ahead of the other: they were stored apart.
  for (const session of new Set([...Object.keys(marks), ...Object.keys(sessions)]))
    if (Number(marks[session]) !== sessions[session])
      wrong.push(`mark ${session} is ${marks[session]}, the session has ${sessions[session]}`)
  return { sessions, marks, ids, wrong }
}

/** Counts of the sessions of the shared document, page by page. */
async function checkContent(reach: Reach, wrong: string[]): Promise<Record<string, number>> {
  const sessions: Record<string, number> = {}
  const tools = freshTools()
  for (let after = EMPTY; ; ) {
    const page = await readPage(reach, tools, 'shared', after, { bytesMax: 20_000, runBytesMax: RUN_BYTES_MAX })
    for (const { session, after: from, transactions } of page?.runs ?? []) {
      if (from !== (sessions[session] ?? 0)) wrong.push(`${session} goes on at ${from}`)
      for (const [index, bytes] of transactions.entries())
        if (String(bytes) !== String(transaction(session, from + index))) wrong.push(`${session} at ${from + index}`)
      sessions[session] = from + transactions.length
    }
    if (page === undefined || !page.more) return sessions
    after = page.end
  }
}

/** The code and message of what a call fails with; `undefined` if it does not. */
export async function failureOf(
  call: 'count' | 'open',
  options?: IndexeddbStorageOptions,
): Promise<string | undefined> {
  try {
    await (call === 'open' ? open(options as IndexeddbStorageOptions) : storage.count())
    return undefined
  } catch (cause) {
    return `${(cause as { code: string }).code} ${(cause as Error).message}`
  }
}

/** As a newer version of a page does. Answers whether another tab held it up. */
export async function upgrade(name: string, version: number): Promise<boolean> {
  const request = indexedDB.open(name, version)
  let blocked = false
  request.onblocked = () => {
    blocked = true
  }
  await reached(request)
  return blocked
}

/** Holds a database open as a page does that knows no manners, while it is to be deleted. */
export async function holdUp(name: string): Promise<void> {
  await reached(indexedDB.open(name, 1))
  indexedDB.deleteDatabase(name)
}

function reached(request: IDBOpenDBRequest): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
