/**
 * Folders that are removed, databases that fail on purpose, and the subjects of the conformance kit.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EMPTY } from '@tidemark/known-state'
import type { PayloadKind, Run } from '@tidemark/protocol'
import type { Append, AppendResult, Storage, StoredState } from '@tidemark/storage'
import type { Subject } from '@tidemark/storage/conformance'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import type { LevelDatabase } from '../src/index.ts'
import { type LeveldbFolderOptions, leveldbStorage } from '../src/index.ts'

export interface Home {
  readonly path: string
  folder(name?: string): string
  remove(): void
}

export function home(): Home {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-leveldb-'))
  return {
    path,
    folder: (name = 'store') => join(path, name),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

export type Access = 'read' | 'write'

/** Called before the database reads or writes, with the first letters of the keys; may throw what it would throw. */
export type Watch = (access: Access, letters: readonly string[], keys: readonly Uint8Array[]) => void

const READS = ['_get', '_getSync', '_getMany', '_iterator', '_keys', '_values'] as const

/** Makes `database` call `watch` before everything it does. */
export function watched<D extends object>(database: D, watch: Watch): D {
  const methods = database as Record<string, (...values: unknown[]) => unknown>
  for (const name of [...READS, '_batch']) {
    const method = methods[name]?.bind(database)
    if (method === undefined) continue
    methods[name] = (...values) => {
      const keys = keysOf(values[0])
      const letters = keys.map((key) => String.fromCharCode(key[0] as number))
      watch(name === '_batch' ? 'write' : 'read', letters, keys)
      return method(...values)
    }
  }
  return database
}

/** Of a key, of many, of operations, or of a range. */
function keysOf(asked: unknown): Uint8Array[] {
  if (asked instanceof Uint8Array) return [asked]
  if (Array.isArray(asked)) return asked.flatMap(keysOf)
  const { key, gte, gt } = asked as { key?: Uint8Array; gte?: Uint8Array; gt?: Uint8Array }
  return keysOf(key ?? gte ?? gt ?? [])
}

/** Of databases that are made from now on, by folder: stores make theirs themselves. */
const watches = new Map<string, Watch>()
const open = ClassicLevel.prototype.open

ClassicLevel.prototype.open = function (this: ClassicLevel, ...values: Parameters<typeof open>) {
  const watch = watches.get(this.location)
  if (watch !== undefined && !Object.hasOwn(this, '_batch')) watched(this, watch)
  return open.apply(this, values)
} as typeof open

export function watchFolder(path: string, watch: Watch | undefined): void {
  if (watch === undefined) watches.delete(path)
  else watches.set(path, watch)
}

/** As LevelDB puts it. */
export function failure(code: 'IO' | 'QUOTA'): Error {
  const why = code === 'QUOTA' ? 'No space left on device' : 'Input/output error'
  return Object.assign(new Error(`IO error: 000003.log: ${why}`), { code: 'LEVEL_IO_ERROR' })
}

interface Failing {
  watch: Watch
  failNext(access: Access, code: 'IO' | 'QUOTA'): void
}

function failing(): Failing {
  let next: { readonly access: Access; readonly code: 'IO' | 'QUOTA' } | undefined
  return {
    watch(access) {
      if (next?.access !== access) return
      const { code } = next
      next = undefined
      throw failure(code)
    },
    failNext: (access, code) => {
      next = { access, code }
    },
  }
}

/** The kit's subject: a store in a folder of its own, on a disk that can be made to fail. */
export function folderSubject(options: Omit<LeveldbFolderOptions, 'path'> = {}): Subject {
  const place = home()
  const { watch, failNext } = failing()
  const at = (path: string, more: Partial<LeveldbFolderOptions> = {}) => {
    watchFolder(path, watch)
    return leveldbStorage({ ...options, path, ...more })
  }
  return {
    storage: at(place.folder()),
    reopen: () => at(place.folder()),
    kill: () => at(asKilled(place)),
    loseTail: () => at(asTorn(place)),
    second: () => at(place.folder()),
    readOnly: () => at(place.folder(), { readOnly: true }),
    failNext,
    destroy: () => {
      watchFolder(place.folder(), undefined)
      place.remove()
    },
  }
}

/** The folder as it is on the disk now, in another place: what a killed process leaves, without its lock. */
function asKilled(place: Home): string {
  const copy = place.folder('killed')
  if (existsSync(place.folder())) cpSync(place.folder(), copy, { recursive: true })
  return copy
}

/** The same without the end of the last record of the log. */
function asTorn(place: Home): string {
  const copy = asKilled(place)
  const log = logIn(copy)
  truncateSync(log, statSync(log).size - 10)
  return copy
}

/** The file in which LevelDB writes what is new. */
export function logIn(folder: string): string {
  const logs = readdirSync(folder).filter((name) => name.endsWith('.log'))
  if (logs.length !== 1) throw new Error(`expected one log in ${folder}, found ${logs.length}`)
  return join(folder, logs[0] as string)
}

/** The kit's subject over a database that is handed in and outlives its stores. */
export function databaseSubject(): Subject {
  const { watch, failNext } = failing()
  const db = watched(new MemoryLevel(), watch) as unknown as LevelDatabase
  const over = (database: LevelDatabase, readOnly = false) => leveldbStorage({ db: database, readOnly })
  return {
    storage: over(db),
    reopen: () => over(db),
    kill: async () => over(await copyOf(db)),
    second: () => over(db),
    readOnly: () => over(db, true),
    failNext,
  }
}

async function copyOf(db: LevelDatabase): Promise<LevelDatabase> {
  const copy = new MemoryLevel() as unknown as LevelDatabase
  for await (const [key, value] of db.iterator<Uint8Array, Uint8Array>(BYTES)) await copy.put(key, value, BYTES)
  return copy
}

export const BYTES = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** The database in a folder, past our own package. */
export async function edit(path: string, change: (db: LevelDatabase) => Promise<void>): Promise<void> {
  const db = new ClassicLevel(path) as unknown as LevelDatabase
  await db.open()
  await change(db)
  await db.close()
}

const utf8 = new TextEncoder()

export const bytesOf = (text: string): Uint8Array => utf8.encode(text)

/** The transaction of a session at `index`: the same each time, and `size` bytes long. */
export function transaction(session: string, index: number, size = 40): Uint8Array {
  return bytesOf(`{"${session}":${index}}`.padEnd(size, ' '))
}

export interface RunOf {
  readonly session?: string
  readonly after?: number
  readonly until: number
  readonly size?: number
  readonly seal?: string
}

/** Content of a document with one run; a header only where it begins. */
export function content(id: string, run: RunOf, kind: PayloadKind = 'json'): Append {
  const { session = 'a', after = 0, until, size, seal } = run
  const transactions = Array.from({ length: until - after }, (_, index) => transaction(session, after + index, size))
  const sealed = seal === undefined ? {} : { seal: bytesOf(seal) }
  const header = after === 0 ? { header: bytesOf(`{"header":"${id}"}`) } : {}
  return { id, kind, priority: 3, ...header, runs: [{ session, after, transactions, ...sealed }] }
}

/** The answer to a content that must be stored completely. */
export function accepted(result: AppendResult | undefined): StoredState {
  if (result === undefined || 'failed' in result)
    throw new Error(`expected to be stored, failed: ${result?.failed}`, { cause: result?.cause })
  if (result.state === undefined || result.refused.size > 0) throw new Error('expected to be stored, was refused')
  return result.state
}

/** All runs of a document, read page by page. */
export async function readAll(storage: Storage, id: string, bytesMax: number): Promise<Run[]> {
  const runs: Run[] = []
  for (let after = EMPTY; ; ) {
    const page = await storage.read(id, after, { bytesMax })
    if (page === undefined) throw new Error(`expected ${id} to be stored`)
    runs.push(...page.runs)
    if (!page.more) return runs
    after = page.end
  }
}
