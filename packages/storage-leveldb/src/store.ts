/**
 * A store that is open: the database and what the parts of this package share.
 *
 * Not here: how it is opened (open.ts), what can be done with it (storage.ts).
 */
import { BlobReader, BlobWriter, type Packed, RememberedTails, RememberedWithin } from '@tidemark/storage/adapter'
import type { Database, Operation } from './database.ts'
import { CHANGES, GENERATIONS, HEADERS, type KeyRange, numberIn, REFERENCES } from './keys.ts'
import { type LargeDocuments, largeDocuments } from './large.ts'
import { SessionNames } from './session-names.ts'

export interface StoreLimits {
  readonly pageBytes: number
  readonly runBytesMax: number
  /** Session ids that are remembered, and sessions of large documents. */
  readonly sessionsRememberedMax: number
}

/** The last number given of each kind. Changed by a commit that succeeded, never before. */
export interface Numbers {
  open: number
  document: number
  sequence: number
  session: number
}

export interface Store {
  readonly database: Database
  readonly names: SessionNames
  readonly limits: StoreLimits
  readonly writer: BlobWriter
  /** Pieces in which a page ended: the next page begins there. See pieces.ts. */
  readonly lastPieces: RememberedWithin<string, Packed>
  /** Of sessions that are appended to: what the next fold will need. See tail.ts. */
  readonly tails: RememberedTails
  readonly large: LargeDocuments
  numbers: Numbers
  /** A write failed, and what is stored was not looked at since: `numbers` may not be so. */
  uncertain: boolean
}

const LAST_PIECES_BYTES_MAX = 2 * 1024 * 1024
const TAILS_BYTES_MAX = 8 * 1024 * 1024

export async function storeOf(database: Database, limits: StoreLimits): Promise<Store> {
  return {
    database,
    names: new SessionNames(database, limits.sessionsRememberedMax),
    limits,
    writer: new BlobWriter(),
    lastPieces: new RememberedWithin(LAST_PIECES_BYTES_MAX, (piece) => piece.bytes),
    tails: new RememberedTails(TAILS_BYTES_MAX),
    large: largeDocuments(limits.sessionsRememberedMax),
    numbers: await readNumbers(database),
    uncertain: false,
  }
}

/** Nothing here depends on how much is stored: each number is in the last key of its kind (scenario 55). */
export async function readNumbers(database: Database): Promise<Numbers> {
  const last = async (range: KeyRange) => {
    const [key] = await database.keys(range, { reverse: true, limit: 1 })
    return key === undefined ? 0 : numberIn(key)
  }
  return {
    open: await last(GENERATIONS),
    document: await last(HEADERS),
    sequence: await last(CHANGES),
    session: await last(REFERENCES),
  }
}

/** One batch: all of `operations` or none; after a failure nobody knows which, see `recover`. */
export async function write(store: Store, operations: readonly Operation[]): Promise<void> {
  try {
    await store.database.write(operations)
  } catch (cause) {
    store.uncertain = true
    throw cause
  }
}

/** After a write whose outcome is unknown, before the next one: nothing that was remembered is relied on. */
export async function recover(store: Store): Promise<void> {
  store.names.forget()
  store.lastPieces.clear()
  store.tails.clear()
  store.large.clear()
  await store.database.reopen()
  store.numbers = await readNumbers(store.database)
  store.uncertain = false
}

/** `bytes` as they are stored, with a checksum. */
export function sealed({ writer }: Store, bytes: Uint8Array): Uint8Array {
  return writer.begin().raw(bytes).keep()
}

/** What `sealed` was given. @throws DamagedBlob */
export function unsealed(value: Uint8Array): Uint8Array {
  const reader = new BlobReader(value)
  return reader.view(reader.left)
}
