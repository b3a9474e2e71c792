/**
 * Folders that are removed, drivers that fail or count, and the subject of the conformance kit.
 */
import { cpSync, existsSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { EMPTY } from '@tidemark/known-state'
import type { PayloadKind, Run } from '@tidemark/protocol'
import type { Append, AppendResult, StoredState } from '@tidemark/storage'
import type { Subject } from '@tidemark/storage/conformance'
import type { SqliteDatabase, SqliteDriver, SqliteStatement, SqliteValue } from '../src/driver.ts'
import { type SqliteStorage, type SqliteStorageOptions, sqliteStorage } from '../src/index.ts'

export interface Folder {
  readonly path: string
  file(name?: string): string
  remove(): void
}

export function folder(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-sqlite-'))
  return {
    path,
    file: (name = 'store.db') => join(path, name),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

export interface Observer {
  /** Called before a statement runs; may throw what SQLite would throw. */
  before?(sql: string, values: readonly SqliteValue[]): void
}

/** A driver whose statements can be watched, and made to fail. */
export function observed(driver: SqliteDriver, observer: Observer): SqliteDriver {
  const watch = (sql: string, statement: SqliteStatement): SqliteStatement => {
    const before = <R>(call: (...values: SqliteValue[]) => R) => {
      return (...values: SqliteValue[]): R => {
        observer.before?.(sql, values)
        return call(...values)
      }
    }
    return {
      get: before((...values) => statement.get(...values)),
      all: before((...values) => statement.all(...values)),
      iterate: before((...values) => statement.iterate(...values)),
      run: before((...values) => statement.run(...values)),
    }
  }
  return {
    ...driver,
    open(path, options): SqliteDatabase {
      const database = driver.open(path, options)
      return { ...database, prepare: (sql) => watch(sql, database.prepare(sql)) }
    },
    resultCode: (cause) => (cause instanceof EngineFailure ? cause.result : driver.resultCode(cause)),
  }
}

/** What SQLite would throw, by the name of its result code. */
export class EngineFailure extends Error {
  readonly result: string

  constructor(result: string) {
    super(`made to fail with ${result}`)
    this.result = result
  }
}

/** The kit's subject: a store in a folder of its own, on a disk that can be made to fail. */
export function fileSubject(options: Omit<SqliteStorageOptions, 'path'> & { driver: SqliteDriver }): Subject {
  const home = folder()
  let failing: { readonly access: 'read' | 'write'; readonly result: string; readonly hit: boolean } | undefined
  const driver = observed(options.driver, {
    before(sql) {
      if (failing === undefined || (failing.access === 'write') !== (sql === 'COMMIT')) return
      const { access, result, hit } = failing
      // A commit that fails is tried again in parts, in the same tick: the disk is broken for all of them.
      if (access === 'read') failing = undefined
      else if (!hit) setImmediate(() => (failing = undefined))
      failing = failing && { access, result, hit: true }
      throw new EngineFailure(result)
    },
  })
  const at = (path: string, more: Partial<SqliteStorageOptions> = {}) =>
    sqliteStorage({ ...options, driver, path, ...more })
  return {
    storage: at(home.file()),
    reopen: () => at(home.file()),
    kill: () => at(asKilled(home)),
    loseTail: () => at(asTorn(home)),
    second: () => at(home.file()),
    readOnly: () => at(home.file(), { readOnly: true }),
    failNext: (access, code) => {
      failing = { access, result: code === 'QUOTA' ? 'FULL' : 'IOERR', hit: false }
    },
    destroy: () => home.remove(),
  }
}

/** The file and its log as they are on the disk now, in another place: what a killed process leaves, without its locks. */
function asKilled(home: Folder): string {
  const copy = join(home.path, 'killed', basename(home.file()))
  for (const suffix of ['', '-wal'])
    if (existsSync(home.file() + suffix)) cpSync(home.file() + suffix, copy + suffix, { recursive: true })
  return existsSync(dirname(copy)) ? copy : home.file('killed.db')
}

/** The same without the end of the last frame of the log: a commit that is not whole. */
function asTorn(home: Folder): string {
  const copy = asKilled(home)
  const log = `${copy}-wal`
  truncateSync(log, statSync(log).size - 10)
  return copy
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
export function readAll(storage: SqliteStorage, id: string, bytesMax: number): Run[] {
  const runs: Run[] = []
  for (let after = EMPTY; ; ) {
    const page = storage.read(id, after, { bytesMax })
    if (page === undefined) throw new Error(`expected ${id} to be stored`)
    runs.push(...page.runs)
    if (!page.more) return runs
    after = page.end
  }
}
