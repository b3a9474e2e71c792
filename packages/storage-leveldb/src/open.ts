/**
 * Opening a store: get the database, see that it is ours, record the generation.
 *
 * The time it takes does not depend on what is stored, apart from LevelDB's own log of a few MiB (scenario 55). Whatever fails leaves
 * nothing open. L3: what an acknowledgement means is decided here, by how the database is told to write.
 */
import { type Generation, type Opened, StorageError } from '@tidemark/storage'
import { BlobReader, BlobWriter, DamagedBlob } from '@tidemark/storage/adapter'
import { Database, type LevelDatabase, type Operation, put, remove } from './database.ts'
import { storageError } from './errors.ts'
import { checkedFolder } from './folder.ts'
import { FORMAT_KEY, GENERATIONS, generationKey } from './keys.ts'
import { type Store, type StoreLimits, storeOf } from './store.ts'

export interface OpenOptions extends StoreLimits {
  /** A folder, or a database that is somebody else's. */
  readonly where: string | LevelDatabase
  readonly level: 'durable' | 'stored' | undefined
  readonly cacheBytes: number
  readonly readOnly: boolean
}

export interface OpenStore {
  readonly store: Store
  readonly opened: Opened
  close(): Promise<void>
}

interface Source {
  readonly level: LevelDatabase
  /** For messages. */
  readonly name: string
  readonly release: () => void
}

const FORMAT = 'tidemark'
/** A database of an earlier version is brought up to date when it is opened; there is none yet. */
const FORMAT_VERSION = 1
/** Generations kept: those before cost the holder of an old mark a comparison. */
const GENERATIONS_KEPT = 1000

export async function openStore(options: OpenOptions): Promise<OpenStore> {
  const owned = typeof options.where === 'string'
  const { level, name, release } = await sourceOf(options)
  const acknowledged = levelOf(options, level)
  const database = new Database(level, { sync: acknowledged === 'durable', owned })
  const close = async () => {
    await database.close()
    release()
  }
  try {
    const operations = await checkFormat(database, name, options.readOnly)
    const store = await storeOf(database, options)
    const history = await record(store, operations, options.readOnly)
    const opened: Opened = {
      generation: history.at(-1) as Generation,
      history,
      writable: !options.readOnly,
      capabilities: { list: true, changes: true, maps: true, erase: true },
      level: acknowledged,
    }
    return { store, opened, close }
  } catch (cause) {
    await close()
    throw storageError(cause, `opening ${name}`)
  }
}

async function sourceOf({ where, cacheBytes, readOnly }: OpenOptions): Promise<Source> {
  if (typeof where !== 'string') return handedIn(where)
  const { path, isNew } = checkedFolder(where, readOnly)
  // On demand: who hands in a database needs no native code.
  const { ClassicLevel } = await import('classic-level')
  const level = new ClassicLevel(path, { createIfMissing: isNew, cacheSize: cacheBytes })
  try {
    await level.open()
  } catch (cause) {
    const error = storageError(cause, `opening ${path}`)
    throw error.code === 'BUSY' ? taken(path, cause) : error
  }
  return { level: level as unknown as LevelDatabase, name: path, release: () => {} }
}

/** Databases in use by a store, shared by all copies of this package: LevelDB's lock knows nothing of them. */
const IN_USE = Symbol.for('@tidemark/storage-leveldb: databases in use')

async function handedIn(level: LevelDatabase): Promise<Source> {
  const shared = globalThis as { [IN_USE]?: WeakSet<LevelDatabase> }
  shared[IN_USE] ??= new WeakSet()
  const inUse = shared[IN_USE]
  const name = 'the database that was handed in'
  if (inUse.has(level)) throw taken(name)
  inUse.add(level)
  const release = () => void inUse.delete(level)
  try {
    await level.open()
  } catch (cause) {
    release()
    throw storageError(cause, `opening ${name}`)
  }
  return { level, name, release }
}

function taken(name: string, cause?: unknown): StorageError {
  const message = `Another store has ${name} open: one at a time may write to it. Close the other one, or use another.`
  return new StorageError('BUSY', message, cause)
}

function levelOf({ where, level }: OpenOptions, database: LevelDatabase): Opened['level'] {
  if (database.supports.permanence === false) return 'memory'
  // Only who handed it in knows whether `sync` means anything to it.
  return level ?? (typeof where === 'string' ? 'durable' : 'stored')
}

/** What makes an empty database one of ours; nothing if it is one. */
async function checkFormat(database: Database, name: string, readOnly: boolean): Promise<Operation[]> {
  const value = await database.get(FORMAT_KEY)
  if (value === undefined) {
    const [key] = await database.keys({}, { limit: 1 })
    if (key !== undefined) throw foreign(name)
    if (readOnly) throw new StorageError('IO', `Cannot open ${name} for reading: it is empty.`)
    const format = new BlobWriter().begin().text(FORMAT).varint(FORMAT_VERSION).keep()
    return [put(FORMAT_KEY, format)]
  }
  const version = readVersion(value, name)
  if (version <= FORMAT_VERSION) return []
  const found = `it has version ${version} of our format, this package knows ${FORMAT_VERSION}`
  throw new StorageError('CORRUPT', `Cannot open ${name}: ${found}. Use a newer version of this package.`)
}

function readVersion(value: Uint8Array, name: string): number {
  try {
    const reader = new BlobReader(value)
    if (reader.text() !== FORMAT) throw foreign(name)
    return reader.varint()
  } catch (cause) {
    throw cause instanceof DamagedBlob ? foreign(name) : cause
  }
}

function foreign(name: string): StorageError {
  return new StorageError('CORRUPT', `Cannot open ${name}: it is a database of another program.`)
}

/** Writes `operations` and a new generation; answers the generations there are then. */
async function record(store: Store, operations: readonly Operation[], readOnly: boolean): Promise<Generation[]> {
  const entries = await store.database.entries(GENERATIONS)
  const history = entries.map(([, value]): Generation => {
    const reader = new BlobReader(value)
    return { id: reader.text(), sequence: reader.varint() }
  })
  if (readOnly) return history
  const { numbers, writer } = store
  const generation: Generation = { id: randomId(), sequence: numbers.sequence }
  const value = writer.begin().text(generation.id).varint(generation.sequence).keep()
  const old = entries.slice(0, Math.max(0, entries.length + 1 - GENERATIONS_KEPT))
  const forgotten = old.map(([key]) => remove(key))
  await store.database.write([...operations, ...forgotten, put(generationKey(numbers.open + 1), value)])
  store.numbers = { ...numbers, open: numbers.open + 1 }
  return [...history.slice(old.length), generation]
}

function randomId(): string {
  let id = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) id += byte.toString(16).padStart(2, '0')
  return id
}
