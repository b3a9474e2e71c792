/**
 * Opening a store: check the path, take the lock, open the file, bring it up to date, record the generation.
 *
 * The time it takes does not depend on what is stored (scenario 55). Whatever fails leaves nothing open and nothing locked.
 * L3: what an acknowledgement means is decided here, by how SQLite is told to write.
 */
import { type Generation, type Opened, StorageError } from '@tidemark/storage'
import type { SqliteDatabase, SqliteDriver } from './driver.ts'
import { storageError } from './errors.ts'
import { checkFile, foreign, realPath } from './file.ts'
import { isOpenHere, lock } from './lock.ts'
import { APPLICATION_ID, migrate, readPragma, SCHEMA_VERSION } from './schema.ts'
import { endReading, type Store, type StoreOptions, storeOf, transact } from './store.ts'

export interface OpenOptions extends StoreOptions {
  readonly path: string
  readonly driver: SqliteDriver
  readonly synchronous: 'full' | 'normal'
  readonly cacheBytes: number
}

export interface OpenStore {
  readonly store: Store
  readonly opened: Opened
  /** Closes the file and gives the lock back. */
  close(): void
}

/** Generations kept: those before cost the holder of an old mark a comparison. */
const GENERATIONS_KEPT = 1000
/** A foreign writer (a backup, a person with `sqlite3`) is waited for this long, while nothing else can run. */
const BUSY_TIMEOUT_MS = 200
/** Pages in the log at which they go to the file: 16 MiB, most of which is the same pages again. */
const LOG_PAGES = 4000
/** A log that had to grow beyond this (somebody read for long) is cut back at the next checkpoint. */
const LOG_BYTES_KEPT = 64 * 1024 * 1024

export const IN_MEMORY = ':memory:'

export function openStore(options: OpenOptions): OpenStore {
  const { driver } = options
  const path = options.path === IN_MEMORY ? IN_MEMORY : realPath(options.path)
  const release = path === IN_MEMORY ? () => {} : take(path, options)
  let database: SqliteDatabase | undefined
  try {
    database = driver.open(path, { readOnly: options.readOnly })
    const store = prepare(database, path, options)
    return { store, opened: record(store, options), close: () => close(store, options, release) }
  } catch (cause) {
    database?.close()
    release()
    throw storageError(driver, cause, `opening ${path}`)
  }
}

/** Makes sure that the file is ours, and ours alone; answers how to let go of it. */
function take(path: string, { driver, readOnly }: OpenOptions): () => void {
  if (!isOpenHere(driver, path, readOnly)) checkFile(path, readOnly)
  return readOnly ? () => {} : lock(driver, path)
}

function prepare(database: SqliteDatabase, path: string, options: OpenOptions): Store {
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
  const version = versionOf(database, path)
  if (!options.readOnly) {
    // Before the log is switched on: the application id must be in the file itself, where checkOwner looks.
    migrate(database, version)
    setUp(database, path, options)
  } else if (version < SCHEMA_VERSION)
    throw new StorageError(
      'READ_ONLY',
      `Cannot open ${path} for reading: it must be brought up to date by writing to it.`,
    )
  database.exec(`PRAGMA cache_size = -${Math.ceil(options.cacheBytes / 1024)}`)
  return storeOf(options.driver, database, options)
}

/** The version of our format that the file is in; 0 if it is empty. */
function versionOf(database: SqliteDatabase, path: string): number {
  const version = readPragma(database, 'user_version')
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
  if (readPragma(database, 'application_id') !== APPLICATION_ID && !isEmpty) throw foreign(path)
  if (version <= SCHEMA_VERSION) return isEmpty ? 0 : version
  const found = `it has version ${version} of our format, this package knows ${SCHEMA_VERSION}`
  throw new StorageError('CORRUPT', `Cannot open ${path}: ${found}. Use a newer version of this package.`)
}

function setUp(database: SqliteDatabase, path: string, { synchronous }: OpenOptions): void {
  const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.[0]
  if (mode !== 'wal' && path !== IN_MEMORY)
    throw new StorageError('IO', `Cannot open ${path}: its file system allows no write-ahead log.`)
  // fullfsync: on macOS an ordinary fsync does not reach the disk.
  const full = synchronous === 'full'
  database.exec(`PRAGMA synchronous = ${full ? 'FULL' : 'NORMAL'}; PRAGMA fullfsync = ${full ? 'ON' : 'OFF'}`)
  database.exec(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}`)
  database.exec(`PRAGMA journal_size_limit = ${LOG_BYTES_KEPT}`)
}

function record(store: Store, { path, synchronous, readOnly }: OpenOptions): Opened {
  if (!readOnly) {
    transact(store, () => {
      store.sql.addGeneration.run(randomId(), store.numbers.sequence)
      store.sql.forgetGenerations.run(GENERATIONS_KEPT)
    })
  }
  const history = store.sql.generations.all().map(([id, sequence]) => ({ id, sequence }) as Generation)
  if (history.length === 0)
    // Whoever made it was killed before it was open.
    throw new StorageError('READ_ONLY', `Cannot open ${path} for reading: it was never opened for writing.`)
  const durable = synchronous === 'full' ? 'durable' : 'stored'
  return {
    generation: history.at(-1) as Generation,
    history,
    writable: !readOnly,
    capabilities: { list: true, changes: true, maps: true, erase: true },
    level: path === IN_MEMORY ? 'memory' : durable,
  }
}

function close(store: Store, { path, readOnly }: OpenOptions, release: () => void): void {
  const { database, driver } = store
  endReading(store)
  try {
    // So that the file is complete by itself; a reader in another process may prevent it, and loses nothing.
    if (!readOnly && path !== IN_MEMORY) database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch (cause) {
    if (driver.resultCode(cause) === undefined) throw cause
  } finally {
    database.close()
    release()
  }
}

function randomId(): string {
  let id = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) id += byte.toString(16).padStart(2, '0')
  return id
}
